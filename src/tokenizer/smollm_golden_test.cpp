// The default model's tokenizer against goldens made by an independent implementation.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <fstream>

#include "formats/gguf.h"
#include "formats/json.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_files.h"

namespace musaic {
namespace {

using Ids = std::vector<TokenId>;

// FIPS 180-4, one shot.
std::string sha256_hex(std::string message) {
  std::vector<uint32_t> primes;
  for (uint32_t n = 2; primes.size() < 64; ++n) {
    if (std::none_of(primes.begin(), primes.end(), [&](uint32_t p) { return n % p == 0; }))
      primes.push_back(n);
  }
  const auto fraction = [](long double root) {
    return static_cast<uint32_t>((root - std::floor(root)) * 4294967296.0L);
  };
  std::array<uint32_t, 8> hash;
  for (int i = 0; i < 8; ++i) hash[i] = fraction(std::sqrt(static_cast<long double>(primes[i])));
  const uint64_t bits = message.size() * 8;
  message += '\x80';
  while (message.size() % 64 != 56) message += '\0';
  for (int shift = 56; shift >= 0; shift -= 8) message += static_cast<char>(bits >> shift);
  for (size_t block = 0; block < message.size(); block += 64) {
    std::array<uint32_t, 64> w{};
    for (int i = 0; i < 64; ++i) w[i / 4] = w[i / 4] << 8 | static_cast<uint8_t>(message[block + i]);
    for (int i = 16; i < 64; ++i) {
      const uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
      const uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
      w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = hash;
    for (int i = 0; i < 64; ++i) {
      const uint32_t k = fraction(std::cbrt(static_cast<long double>(primes[i])));
      const uint32_t t1 =
          h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + k + w[i];
      const uint32_t t2 =
          (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const std::array<uint32_t, 8> step = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; ++i) hash[i] += step[i];
  }
  std::string hex;
  for (const uint32_t word : hash) hex += fmt::format("{:08x}", word);
  return hex;
}

class SmolLM2 : public testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("MUSAIC_DEFAULT_MODEL");
    if (path == nullptr) GTEST_SKIP() << "MUSAIC_DEFAULT_MODEL is not set";
    tokenizer_ = std::make_unique<Tokenizer>(tokenizer_data_from_gguf(*GgufFile::open(path)));
  }
  static std::string data(const std::string& name) { return std::string(MUSAIC_TEST_DATA) + "/" + name; }
  static Json goldens() { return read_json_file(data("smollm2_goldens.json")); }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(SmolLM2, EncodesAndDecodesEveryGoldenString) {
  const Json cases = goldens()["tokenizer"];
  ASSERT_EQ(cases.size(), 71u);
  for (const Json& golden : cases) {
    const auto text = golden["text"].get<std::string>();
    SCOPED_TRACE(testing::PrintToString(text));
    const Ids ids = tokenizer_->encode(text);
    EXPECT_EQ(ids, golden["ids_special"].get<Ids>());
    EXPECT_EQ(tokenizer_->encode(text, {.parse_special = false}), golden["ids_plain"].get<Ids>());
    EXPECT_EQ(tokenizer_->decode(ids, false), golden["decoded_special"].get<std::string>());
    EXPECT_EQ(tokenizer_->decode(golden["ids_plain"].get<Ids>(), false), text);
  }
}

TEST_F(SmolLM2, DropsExactlyTheBytesThatHaveNoToken) {
  std::vector<int> without;
  for (int byte = 0; byte < 256; ++byte) {
    if (tokenizer_->encode(std::string(1, static_cast<char>(byte))).empty()) without.push_back(byte);
  }
  EXPECT_EQ(without, goldens()["bytes_without_token"].get<std::vector<int>>());
}

TEST_F(SmolLM2, EncodesAllOfGsm8k) {
  std::ifstream file(data("gsm8k_test.jsonl"));
  std::string bytes;
  size_t tokens = 0;
  size_t question_tokens = 0;
  for (std::string line; std::getline(file, line);) {
    const Json record = Json::parse(line);
    const auto question = record["question"].get<std::string>();
    question_tokens += tokenizer_->encode(question, {.parse_special = false}).size();
    for (const TokenId id : tokenizer_->encode(question + "\n" + record["answer"].get<std::string>(),
                                               {.parse_special = false})) {
      for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(id >> shift);
      ++tokens;
    }
  }
  const Json bulk = goldens()["gsm8k_test_bulk"];
  EXPECT_EQ(tokens, bulk["tokens"].get<size_t>());
  EXPECT_EQ(question_tokens, bulk["question_tokens"].get<size_t>());
  EXPECT_EQ(sha256_hex(bytes), bulk["sha256_of_u32le_ids_concatenated"].get<std::string>());
}

TEST(Sha256, MatchesAPublishedDigest) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace musaic
