// What Q2_K, Q3_K and TQ2_0 share: 256 values as pairs of bits in 4 words of 16 bytes. Word 2n + b holds, in pair j of byte l, value
// 128n + 32j + 16b + l. Unit u = pairs 2i and 2i + 1 of word w of block u / 8, where u % 8 = 2w + i: two neighbours share a word.
#define PADDED 0

uint pairs_word(uint u) { return (u & 7u) / 2; }

uint unit_run(uint u, uint h) { return 256 * (u / 8) + 32 * ((u & 4u) + 2 * (u & 1u) + h) + 8 * (u & 2u); }

uint pairs(uvec4 q, uint u, uint i) { return (q[i & 3] >> (4 * (u & 1u) + 2 * (i / 4))) & 0x03030303u; }

// Of a byte for each 16 values in order: the word with those of both runs, and they.
uint pairs_scales(uint u) { return (u & 4u) / 2 + (u & 1u); }
uvec2 pairs_bytes(uint w, uint u) { return uvec2(w >> (4 * (u & 2u)), w >> (4 * (u & 2u) + 16)) & 255u; }
