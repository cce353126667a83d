"""Makes the small tokenizers of this folder and what they must answer: pip install tokenizers==0.23.3; python make.py

Each is trained on the same lines with the pre-tokenizer, normalizer and post-processor of the model that it is named
after. expected.json lists texts with the ids and texts that Hugging Face's library gives for them.
"""
import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
VOCAB_SIZE = 700
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")

DEEPSEEK = [  # cased letters, punctuation and CJK with the space before them; DeepSeek-V2's own, but for rare scripts
    r"[\r\n]",
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὟ-ὼᾀ-ᾴᾶ-ᾼ"
    r"ℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⲲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
    r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
    r"\s+$",
    r"[一-龥ࠀ-一가-퟿]+",
]

SPECIAL = {
    "smollm": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<im>", "<im><im>"],
    "gpt2": ["<|endoftext|>"],
    "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "qwen2": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "deepseek": ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"],
}
ADDED = {
    "smollm": [AddedToken("<mask>", special=True, lstrip=True, rstrip=True, normalized=False)],
    "gpt2": [AddedToken("  ", special=False, normalized=False)],
    "llama3": [],
    "qwen2": [AddedToken("<think>", special=False, normalized=False),
              AddedToken("</think>", special=False, normalized=False)],
    "deepseek": [AddedToken("<｜User｜>", special=False, normalized=False)],
}

TEXTS = [
    "", " ", "  ", "   ", "\n", "\n\n", " \n", "\n ", "\t", "\r\n", "\r\n\r\n", "\r", "a\rb", "a \r\n  b", "\u3000\u3000全角",
    "Hello, world!", "hello", " hello", "  hello", "hello ", "hello  ", "hello   there", "The quick brown fox jumps.",
    "don't we'll they've I'm you're he'd it's", "DON'T WE'LL THEY'VE I'M YOU'RE HE'D IT'S", "'s't're've'm'll'd",
    "'S'T'Re'VE'M'LL'D", "'\u017f it'\u017f", "' s 'x 'r 'v 'l", "don\u2019t", "''''", "'", "x'", "rock'n'roll 'tis",
    "0", "12", "123", "1234", "12345", "1234567890", "007 and 42", "3.14159", "1,000,000", "$12.50", "a1b22c333d4444",
    "  12", " 1", "1 2  3   4", "x 1", "x  1", "x\n1", "\n\n1", "١٢٣٤", "½ ² Ⅷ ① numbers", "x²+y²", "12\u0661\u0662",
    "!!!???...", "!!\n\n", " !!\n", "?!\r\n\r\n x", "...\n  ...", "a--b---c", "if (x == 0) { return -1; } // done\n",
    "for i in range(10):\n    print(f\"{i:>3}\")\n\n\n", "<div class=\"a\">&nbsp;</div>", "\u00a0x", "x\u00a0y", "\u00a0\u00a0x",
    "\u0085x", "\x1c\x1d\x1e\x1f", "\u2028x\u2029", "\u200bzero\u200dwidth\ufeff", "\u180ex", "\u1680 \u2000x",
    "naïve café über straße", "cafe\u0301 n\u0303", "a\u0300\u0323", "\u1e9b\u0323", "\u212b\u2126", "\u0958", "\u1100\u1161\u11a8",
    "Z͑ͫ̓a͛̕l̡͕g̷o", "日本語のテストです。ＦＵＬＬ", "한국어 단어", "中文English混合123數字", "שלום עולם", "مرحبا بالعالم",
    "Привет, мир!", "ΑΒΓ αβγ ς", "🇫🇷👍🏽 ❤️", "😀😀", "👨‍👩‍👧‍👦 family", "𝕏𝔄 math 𐍈", "𠮷 rare", "ǅ ʰ ªº ﬁ", "\x00", "a\x00b", "\x7f",
    "bell\x07 vt\x0b ff\x0c", "a\x04b th\x04e", "\ue000 private", "\U0010ffff", "\ufffd", "\ufffe", "ःा marks", "\u0301", " \u0301",
    "snake_case camelCase kebab-case SCREAMING_SNAKE", "a" * 200, "ab" * 100, " " * 67, "\n" * 35, "the" * 60, "!" * 90, "é" * 50,
    "tab\tsep\tvalues\n1\t2\t3\n", "\t\tindented", " \t \n \t x", "trailing  \n\n  next", "    def f(self):\n        return 1\n",
    "<|endoftext|>", "a<|im_end|>b", "<|im_start|>user\nhi<|im_end|>\n", "<|im_start|><|im_start|>", "<|IM_START|>", "<|im_start", "<im>",
    "<im><im>", "<im><im><im>", "x <mask> y", "x<mask>y", " \n<mask>\t z", "<mask> <mask>", "<mask>", "\u3000<mask>\u00a0q",
    "<|begin_of_text|>hi<|eot_id|>", "<think>\nwell\n</think>\n\nyes", "a  b   c    d", "<|<|im_end|>|>",
    "cafe\u0301<|im_end|>\u0301x", "Janet sells 16 - 3 - 4 = <<16-3-4=9>>9 duck eggs a day.\n#### 18",
]


MORE_TEXTS = {
    "deepseek": ["<｜begin▁of▁sentence｜><｜User｜>1 + 1 = ?<｜end▁of▁sentence｜>", "x  ,y ,z", "a \n b  \n\n  c ", "12 34\t56  ", "ab12cd",
                 "中 文，标点。 “引号”", "한글 and カナ ー", "\u3000。x \u3000", "v1.2-rc3 (ok) ", "don't \u2019tis"],
}


def lines():
    with open(HERE.parent / "gsm8k_test.jsonl", encoding="utf-8") as file:
        for line, _ in zip(file, range(300)):
            record = json.loads(line)
            yield record["question"] + "\n" + record["answer"]
    for text in TEXTS:
        if "\x04" not in text and "\U0010ffff" not in text:  # so that some bytes have no token in smollm
            yield text


def pre_tokenizer(name):
    if name == "gpt2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if name == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    if name == "deepseek":
        splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in DEEPSEEK]
        return pre_tokenizers.Sequence([*splits, pre_tokenizers.Digits(individual_digits=True),
                                        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    pattern = LLAMA3 if name == "llama3" else QWEN2
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def make(name):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer(name)
    tokenizer.decoder = decoders.ByteLevel()
    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    if name == "deepseek":
        tokenizer.normalizer = normalizers.Sequence([])
    alphabet = [] if name == "smollm" else pre_tokenizers.ByteLevel.alphabet()
    first = SPECIAL[name] if name == "smollm" else []
    tokenizer.train_from_iterator(lines(), trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE, special_tokens=first, initial_alphabet=alphabet, show_progress=False))
    if name == "llama3":  # a word that no merges lead to: found as a whole, because merges are ignored for it
        document = json.loads(tokenizer.to_str())
        document["model"]["ignore_merges"] = True
        document["model"]["vocab"]["\u0120quxqux"] = len(document["model"]["vocab"])
        tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL[name]])
    tokenizer.add_tokens(ADDED[name])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if name == "llama3":
        bos = tokenizer.token_to_id("<|begin_of_text|>")
        tokenizer.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B:1",
                                          special_tokens=[("<|begin_of_text|>", bos)])])
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    expect(tokenizer, folder)


def expect(tokenizer, folder):
    cases = []
    for text in TEXTS + ["a quxqux b quxqux"] + MORE_TEXTS.get(folder.name, []):
        tokenizer.encode_special_tokens = False
        ids = tokenizer.encode(text).ids
        bare = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        cases.append({"text": text, "ids": ids, "ids_without_added": bare, "ids_plain": plain,
                      "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                      "decoded_skipping": tokenizer.decode(ids, skip_special_tokens=True)})
    with open(folder / "expected.json", "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


for tokenizer_name in SPECIAL:
    make(tokenizer_name)
