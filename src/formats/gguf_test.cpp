#include "formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <limits>
#include <random>

#include "base/status.h"
#include "formats/test_files.h"

namespace musaic {
namespace {

using namespace musaic::testing;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<const GgufFile> open_bytes(const TemporaryFolder& folder, std::string_view bytes) {
  return GgufFile::open(folder.write("model.gguf", bytes));
}

// The sentence with which opening such a file fails; "it opened" when it does not.
std::string error_of(std::string_view bytes) {
  const TemporaryFolder folder;
  try {
    open_bytes(folder, bytes);
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.gguf"));
    return error.what();
  }
  return "it opened";
}

GgufBuilder small_file() {
  GgufBuilder gguf;
  gguf.put_text("general.architecture", "llama").put_u32("llama.block_count", 2);
  gguf.put_texts("tokenizer.ggml.tokens", {"a", "", "long token"});
  gguf.add_f32("first", {4, 3}).add_tensor("second", {32, 2}, kGgufQ8_0, std::string(68, 'x'));
  return gguf;
}

TEST(Gguf, ReadsEveryMetadataType) {
  GgufBuilder builder;
  builder.put<uint8_t>("u8", kGgufUint8, 200).put<int8_t>("i8", kGgufInt8, -100);
  builder.put<uint16_t>("u16", kGgufUint16, 60000).put<int16_t>("i16", kGgufInt16, -30000);
  builder.put<uint32_t>("u32", kGgufUint32, 4000000000u).put<int32_t>("i32", kGgufInt32, -2000000000);
  builder.put<uint64_t>("u64", kGgufUint64, 1ull << 62).put<int64_t>("i64", kGgufInt64, -(1ll << 62));
  builder.put<float>("f32", kGgufFloat32, 0.5f).put<double>("f64", kGgufFloat64, 0.1);
  builder.put<uint8_t>("yes", kGgufBool, 1).put_text("text", "grüße");
  builder.put_array<int16_t>("ints", kGgufInt16, {1, -2, 3})
      .put_array<float>("floats", kGgufFloat32, {0.5f, 2.0f});
  builder.put_array<uint8_t>("bools", kGgufBool, {1, 0}).put_texts("texts", {"a", "", "b"});
  builder.put_array<int32_t>("none", kGgufInt32, {});
  const TemporaryFolder folder;
  const auto gguf = open_bytes(folder, builder.bytes());
  EXPECT_EQ(gguf->get<int64_t>("u8"), 200);
  EXPECT_EQ(gguf->get<int64_t>("i8"), -100);
  EXPECT_EQ(gguf->get<int64_t>("u16"), 60000);
  EXPECT_EQ(gguf->get<int64_t>("i16"), -30000);
  EXPECT_EQ(gguf->get<int64_t>("u32"), 4000000000);
  EXPECT_EQ(gguf->get<int64_t>("i32"), -2000000000);
  EXPECT_EQ(gguf->get<int64_t>("u64"), 1ll << 62);
  EXPECT_EQ(gguf->get<int64_t>("i64"), -(1ll << 62));
  EXPECT_EQ(gguf->get<double>("f32"), 0.5);
  EXPECT_EQ(gguf->get<double>("f64"), 0.1);
  EXPECT_TRUE(gguf->get<bool>("yes"));
  EXPECT_EQ(gguf->get<std::string>("text"), "grüße");
  EXPECT_THAT(gguf->get<std::vector<int64_t>>("ints"), ElementsAre(1, -2, 3));
  EXPECT_THAT(gguf->get<std::vector<double>>("floats"), ElementsAre(0.5, 2.0));
  EXPECT_THAT(gguf->get<std::vector<bool>>("bools"), ElementsAre(true, false));
  EXPECT_THAT(gguf->get<std::vector<std::string>>("texts"), ElementsAre("a", "", "b"));
  EXPECT_THAT(gguf->get<std::vector<int64_t>>("none"), ElementsAre());
  EXPECT_EQ(gguf->find<int64_t>("absent"), nullptr);
  EXPECT_EQ(gguf->metadata().size(), 17u);
}

TEST(Gguf, AMissingKeyOrAnotherTypeIsNamed) {
  const TemporaryFolder folder;
  const auto gguf = open_bytes(folder, small_file().bytes());
  try {
    gguf->get<std::string>("absent");
    FAIL();
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(), HasSubstr("key `absent` is missing, expected a string"));
  }
  try {
    gguf->find<std::string>("llama.block_count");
    FAIL();
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(), HasSubstr("key `llama.block_count` is an integer, expected a string"));
  }
}

TEST(Gguf, TensorsHaveRowMajorShapesAndTheirBytes) {
  const TemporaryFolder folder;
  const auto gguf = open_bytes(folder, small_file().bytes());
  ASSERT_EQ(gguf->tensors().size(), 2u);
  const GgufTensor* first = gguf->find_tensor("first");
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->dtype, DType::kF32);
  EXPECT_EQ(first->shape, (Shape{3, 4}));
  EXPECT_EQ(first->bytes, 48u);
  float value = 0;
  std::memcpy(&value, gguf->data(*first) + 44, sizeof(value));
  EXPECT_EQ(value, 1.0f);
  const GgufTensor* second = gguf->find_tensor("second");
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->shape, (Shape{2, 32}));
  EXPECT_EQ(second->bytes, 68u);
  EXPECT_EQ(static_cast<char>(gguf->data(*second)[67]), 'x');
  EXPECT_EQ(gguf->find_tensor("third"), nullptr);
}

TEST(Gguf, HonoursItsAlignmentKey) {
  GgufBuilder builder;
  builder.alignment = 128;
  builder.put_u32("general.alignment", 128).add_f32("a", {3}, 2.0f).add_f32("b", {3}, 3.0f);
  const TemporaryFolder folder;
  const auto gguf = open_bytes(folder, builder.bytes());
  EXPECT_EQ(gguf->find_tensor("b")->file_offset % 128, 0u);
  float value = 0;
  std::memcpy(&value, gguf->data(*gguf->find_tensor("b")), sizeof(value));
  EXPECT_EQ(value, 3.0f);
}

TEST(Gguf, DroppedPagesComeBackFromTheFile) {
  GgufBuilder builder;
  builder.add_f32("big", {64, 64, 4}, 2.5f);
  const TemporaryFolder folder;
  const auto gguf = open_bytes(folder, builder.bytes());
  const GgufTensor& tensor = gguf->tensors()[0];
  const auto* values = reinterpret_cast<const float*>(gguf->data(tensor));
  EXPECT_EQ(values[9000], 2.5f);
  gguf->file().drop_pages(tensor.file_offset, tensor.bytes);
  EXPECT_EQ(values[9000], 2.5f);
}

TEST(GgufErrors, AForeignFileIsNotGguf) {
  EXPECT_THAT(error_of(""), HasSubstr("not a GGUF file: 0 bytes long"));
  EXPECT_THAT(error_of("GG"), HasSubstr("not a GGUF file: 2 bytes long"));
  EXPECT_THAT(error_of("PK\x03\x04 and more"), HasSubstr("begins with `PK??`, expected `GGUF`"));
  EXPECT_THROW(GgufFile::open("/no/such/file.gguf"), LoadError);
  EXPECT_THROW(GgufFile::open("/tmp"), LoadError);
}

TEST(GgufErrors, OtherVersionsAndByteOrdersAreNamed) {
  GgufBuilder builder = small_file();
  for (uint32_t version : {1u, 2u, 4u}) {
    builder.version = version;
    EXPECT_THAT(error_of(builder.bytes()), HasSubstr(fmt::format("GGUF version {}, expected 3", version)));
  }
  builder.version = 3u << 24;
  EXPECT_THAT(error_of(builder.bytes()), HasSubstr("big-endian GGUF, expected little-endian"));
}

TEST(GgufErrors, EveryTruncationIsFound) {
  const TemporaryFolder folder;
  const std::string bytes = small_file().bytes();
  for (size_t length = 0; length < bytes.size() - 28; ++length) {  // 28: padding after the last tensor
    ASSERT_THROW(open_bytes(folder, std::string_view(bytes).substr(0, length)), LoadError) << length;
  }
}

TEST(GgufErrors, CountsBeyondTheFileAreRefusedAtOnce) {
  GgufBuilder builder = small_file();
  builder.tensor_count_error = std::numeric_limits<int64_t>::max() / 2;
  EXPECT_THAT(error_of(builder.bytes()), HasSubstr("the list of tensors has a count of"));
  builder = small_file();
  builder.key_count_error = -10;
  EXPECT_THAT(error_of(builder.bytes()), HasSubstr("the list of keys has a count of 18446744073709551609"));
  const auto long_array = ByteWriter().put<uint32_t>(kGgufInt64).put<uint64_t>(1ull << 61).bytes();
  EXPECT_THAT(error_of(GgufBuilder().put_raw("list", kGgufArray, long_array).bytes()),
              HasSubstr("key `list` has a count of 2305843009213693952"));
  const auto long_string = ByteWriter().put<uint64_t>(~0ull).bytes();
  EXPECT_THAT(error_of(GgufBuilder().put_raw("text", kGgufString, long_string).bytes()),
              HasSubstr("key `text` needs 18446744073709551615 bytes"));
}

TEST(GgufErrors, WrongValuesAreNamed) {
  EXPECT_THAT(error_of(GgufBuilder().put<uint8_t>("flag", kGgufBool, 2).bytes()),
              HasSubstr("key `flag` is a bool of value 2, expected 0 or 1"));
  EXPECT_THAT(error_of(GgufBuilder().put<uint64_t>("big", kGgufUint64, ~0ull).bytes()),
              HasSubstr("key `big` is 18446"));
  EXPECT_THAT(error_of(GgufBuilder().put<uint8_t>("odd", 13, 0).bytes()),
              HasSubstr("key `odd` has value type 13, expected 0 to 12"));
  const auto nested = ByteWriter().put<uint32_t>(kGgufArray).put<uint64_t>(0).bytes();
  EXPECT_THAT(error_of(GgufBuilder().put_raw("deep", kGgufArray, nested).bytes()),
              HasSubstr("key `deep` is an array of arrays"));
  EXPECT_THAT(error_of(small_file().put_u32("llama.block_count", 1).bytes()),
              HasSubstr("key `llama.block_count` is there twice"));
}

TEST(GgufErrors, WrongTensorsAreNamed) {
  EXPECT_THAT(error_of(small_file().add_tensor("w", {256}, kGgufQ2_K, std::string(84, 'x')).bytes()),
              AllOf(HasSubstr("tensor `w` has type Q2_K, expected F32"), HasSubstr("Q6_K")));
  EXPECT_THAT(error_of(small_file().add_tensor("w", {32}, 77, "").bytes()),
              HasSubstr("tensor `w` has type number 77"));
  EXPECT_THAT(error_of(small_file().add_tensor("w", {33}, kGgufQ8_0, std::string(34, 'x')).bytes()),
              HasSubstr("tensor `w` has rows of 33 values, expected a multiple of 32 for q8_0"));
  EXPECT_THAT(error_of(small_file().add_tensor("w", {1, 1, 1, 1, 1}, kGgufF32, "abcd").bytes()),
              HasSubstr("tensor `w` has 5 dimensions, expected at most 4"));
  EXPECT_THAT(error_of(small_file().add_tensor("w", {0}, kGgufF32, "").bytes()),
              HasSubstr("tensor `w` has a dimension of 0"));
  EXPECT_THAT(error_of(small_file().add_tensor("w", {1ull << 32, 1ull << 32}, kGgufF32, "").bytes()),
              HasSubstr("tensor `w` has a dimension of 4294967296"));
  EXPECT_THAT(error_of(small_file().add_tensor("w", {1ull << 62}, kGgufF32, "").bytes()),
              HasSubstr("tensor `w` has shape [4611686018427387904]"));
  EXPECT_THAT(error_of(small_file().add_f32("first", {1}).bytes()),
              HasSubstr("tensor `first` is there twice"));
}

TEST(GgufErrors, TensorsOutsideOrOverEachOtherAreNamed) {
  EXPECT_THAT(error_of(small_file().add_tensor_info("w", {8}, kGgufF32, 1ull << 40).bytes()),
              HasSubstr("tensor `w` needs 32 bytes at offset 1099511627776"));
  EXPECT_THAT(error_of(small_file().add_tensor_info("w", {8}, kGgufF32, ~0ull - 31).bytes()),
              HasSubstr("tensor `w`"));
  EXPECT_THAT(error_of(small_file().add_tensor_info("w", {8}, kGgufF32, 33).bytes()),
              HasSubstr("tensor `w` is at offset 33, expected a multiple of 32"));
  EXPECT_THAT(error_of(small_file().add_tensor_info("w", {8}, kGgufF32, 32).bytes()),
              AllOf(HasSubstr("tensor `w` begins at byte"), HasSubstr("the end of tensor `first`")));
}

TEST(GgufErrors, AWrongAlignmentIsNamed) {
  for (uint32_t alignment : {0u, 1u, 4u, 48u}) {
    EXPECT_THAT(
        error_of(small_file().put_u32("general.alignment", alignment).bytes()),
        HasSubstr(fmt::format("`general.alignment` is {}, expected a power of two from 8", alignment)));
  }
}

TEST(GgufErrors, AnUnprintableNameStaysOneLine) {
  const std::string name = std::string("a\nb\0c", 5) + std::string(500, 'z');
  const std::string error = error_of(small_file().add_tensor(name, {32}, 77, "").bytes());
  EXPECT_THAT(error, HasSubstr("tensor `a?b?czz"));
  EXPECT_EQ(error.find('\n'), std::string::npos);
  EXPECT_LT(error.size(), 400u);
}

// Reads all that an open file gives access to.
size_t touch(const GgufFile& gguf) {
  size_t sum = gguf.metadata().size();
  for (const GgufTensor& tensor : gguf.tensors()) {
    for (size_t i = 0; i < tensor.bytes; ++i) sum += static_cast<size_t>(gguf.data(tensor)[i]);
  }
  return sum;
}

TEST(GgufErrors, FlippedBytesNeverDoHarm) {
  const TemporaryFolder folder;
  const std::string bytes = small_file().bytes();
  std::mt19937 random(1);
  int opened = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string changed = bytes;
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips) {
      changed[random() % changed.size()] = static_cast<char>(random() % 2 ? random() : random() % 4 * 85);
    }
    try {
      touch(*open_bytes(folder, changed));
      ++opened;
    } catch (const LoadError&) {
      ++refused;
    }
  }
  EXPECT_GT(opened, 100);
  EXPECT_GT(refused, 100);
}

TEST(Gguf, OpensTheDefaultModelWithoutReadingItsTensors) {
  const char* path = std::getenv("MUSAIC_DEFAULT_MODEL");
  if (path == nullptr) GTEST_SKIP() << "MUSAIC_DEFAULT_MODEL is not set";
  const std::clock_t start = std::clock();
  const auto gguf = GgufFile::open(path);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;  // of this process
  EXPECT_LT(seconds, 0.05);  // some 5 ms; faulting in 98 MB takes longer
  EXPECT_EQ(gguf->get<std::string>("general.architecture"), "llama");
  EXPECT_EQ(gguf->get<std::vector<std::string>>("tokenizer.ggml.tokens").size(), 49152u);
  const GgufTensor* embedding = gguf->find_tensor("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->shape, (Shape{49152, 576}));
  EXPECT_EQ(embedding->dtype, DType::kQ8_0);
  EXPECT_EQ(gguf->tensors().size(), 272u);
}

}  // namespace
}  // namespace musaic
