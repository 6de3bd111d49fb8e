// Four digits of two bits, in the bytes of a word.
uint spread_digits(uint c) {
  c = (c | c << 12) & 0x000f000fu;
  return (c | c << 6) & 0x03030303u;
}
