#include "formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "base/status.h"
#include "formats/test_files.h"

namespace musaic {
namespace {

using namespace musaic::testing;
using ::testing::HasSubstr;

const std::string kHeader = R"({"__metadata__":{"format":"pt"},)"
                            R"("b":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},)"
                            R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                            R"("empty":{"dtype":"I64","shape":[0,4],"data_offsets":[20,20]},)"
                            R"("scalar":{"dtype":"U8","shape":[],"data_offsets":[20,21]}})";
const std::string kData = "aaaaaaaabbbbbbbbbbbbs";

std::string error_of(std::string_view bytes) {
  const TemporaryFolder folder;
  try {
    SafetensorsFile::open(folder.write("model.safetensors", bytes));
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.safetensors"));
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
    return error.what();
  }
  return "it opened";
}

// The sentence for one tensor `w` in 16 bytes of data, described so.
std::string error_of_tensor(const std::string& description) {
  return error_of(safetensors_bytes("{\"w\":" + description + "}", std::string(16, 'x')));
}

TEST(Safetensors, TensorsHaveTheirTypesShapesAndBytes) {
  const TemporaryFolder folder;
  const auto file = SafetensorsFile::open(folder.write("x.safetensors", safetensors_bytes(kHeader, kData)));
  ASSERT_EQ(file->tensors().size(), 4u);
  const SafetensorsTensor* b = file->find_tensor("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->dtype, DType::kBF16);
  EXPECT_EQ(b->shape, (Shape{2, 3}));
  EXPECT_EQ(std::memcmp(file->data(*b), "bbbbbbbbbbbb", 12), 0);
  EXPECT_EQ(file->find_tensor("scalar")->shape, Shape{});
  EXPECT_EQ(static_cast<char>(*file->data(*file->find_tensor("scalar"))), 's');
  EXPECT_EQ(file->find_tensor("empty")->bytes, 0u);
  EXPECT_EQ(file->find_tensor("__metadata__"), nullptr);
}

TEST(Safetensors, KnowsEveryElementType) {
  const std::pair<const char*, DType> cases[] = {
      {"F32", DType::kF32}, {"F16", DType::kF16},  {"BF16", DType::kBF16}, {"F8_E4M3", DType::kF8E4M3},
      {"I64", DType::kI64}, {"I32", DType::kI32},  {"I16", DType::kI16},   {"I8", DType::kI8},
      {"U8", DType::kU8},   {"BOOL", DType::kBool}};
  for (const auto& [text, dtype] : cases) {
    const size_t bytes = byte_size(dtype, 3);
    const std::string header =
        fmt::format(R"({{"w":{{"dtype":"{}","shape":[3],"data_offsets":[0,{}]}}}})", text, bytes);
    const TemporaryFolder folder;
    const auto path = folder.write("x.safetensors", safetensors_bytes(header, std::string(bytes, 'x')));
    EXPECT_EQ(SafetensorsFile::open(path)->find_tensor("w")->dtype, dtype) << text;
  }
}

TEST(SafetensorsErrors, EveryTruncationIsFound) {
  const TemporaryFolder folder;
  const std::string bytes = safetensors_bytes(kHeader, kData);
  for (size_t length = 0; length < bytes.size(); ++length) {
    const auto path = folder.write("model.safetensors", std::string_view(bytes).substr(0, length));
    ASSERT_THROW(SafetensorsFile::open(path), LoadError) << length;
  }
  EXPECT_THAT(error_of(bytes.substr(0, 5)), HasSubstr("5 bytes long, expected at least 8"));
  EXPECT_THAT(error_of(bytes.substr(0, 50)), HasSubstr("truncated: a header of"));
  EXPECT_THAT(error_of(bytes.substr(0, bytes.size() - 1)),
              HasSubstr("tensor `scalar` ends at byte 21 of the data, got 20"));
  EXPECT_THAT(error_of(bytes + "x"), HasSubstr("bytes long, expected"));
}

TEST(SafetensorsErrors, AWrongHeaderIsTold) {
  EXPECT_THAT(error_of(ByteWriter().put<uint64_t>(1ull << 60).put_bytes("{}").bytes()),
              HasSubstr("a header of 1152921504606846976 bytes, expected at most 100000000"));
  EXPECT_THAT(error_of(safetensors_bytes("{\"w\":", "")),
              HasSubstr("expected a JSON header of 5 bytes, got `{\"w\":`"));
  EXPECT_THAT(error_of(safetensors_bytes("[1]", "")), HasSubstr("the header is array, expected an object"));
  EXPECT_THAT(error_of(safetensors_bytes(std::string(200000, '['), "")), HasSubstr("expected a JSON header"));
}

TEST(SafetensorsErrors, WrongDescriptionsAreNamed) {
  EXPECT_THAT(error_of_tensor("3"), HasSubstr("tensor `w` is number, expected an object"));
  EXPECT_THAT(error_of_tensor(R"({"shape":[4],"data_offsets":[0,16]})"),
              HasSubstr("tensor `w` has no `dtype`"));
  EXPECT_THAT(error_of_tensor(R"({"dtype":"F64","shape":[2],"data_offsets":[0,16]})"),
              HasSubstr("tensor `w` has dtype F64, expected F32, F16, BF16"));
  EXPECT_THAT(error_of_tensor(R"({"dtype":7,"shape":[2],"data_offsets":[0,16]})"),
              HasSubstr("has dtype number"));
  EXPECT_THAT(error_of_tensor(R"({"dtype":"F32","shape":[-4],"data_offsets":[0,16]})"),
              HasSubstr("wrong `shape`"));
  EXPECT_THAT(error_of_tensor(R"({"dtype":"F32","shape":[4.0],"data_offsets":[0,16]})"),
              HasSubstr("wrong `shape`"));
  EXPECT_THAT(error_of_tensor(R"({"dtype":"F32","shape":[1,1,1,1,1,1,4],"data_offsets":[0,16]})"),
              HasSubstr("wrong `shape`, expected an array of at most 6"));
  EXPECT_THAT(error_of_tensor(R"({"dtype":"F32","shape":[4],"data_offsets":[16]})"),
              HasSubstr("`data_offsets`"));
  EXPECT_THAT(error_of_tensor(R"({"dtype":"F32","shape":[4],"data_offsets":[16,0]})"),
              HasSubstr("`data_offsets`"));
}

TEST(SafetensorsErrors, BytesThatDoNotFitTheShapeAreTold) {
  EXPECT_THAT(error_of_tensor(R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,16]})"),
              HasSubstr("tensor `w` of f32 [2, 3] lies in 16 bytes, expected 24"));
  EXPECT_THAT(error_of_tensor(R"({"dtype":"F32","shape":[4],"data_offsets":[0,99]})"),
              HasSubstr("tensor `w` ends at byte 99 of the data, got 16 bytes"));
  EXPECT_THAT(error_of_tensor(R"({"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,16]})"),
              HasSubstr("lies in 16 bytes, expected fewer"));
}

TEST(SafetensorsErrors, OverlapsHolesAndDuplicatesAreNamed) {
  const std::string first = R"("a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},)";
  const std::string data(16, 'x');
  const auto error_with = [&](const std::string& second) {
    return error_of(safetensors_bytes("{" + first + second + "}", data));
  };
  EXPECT_THAT(error_with(R"("b":{"dtype":"U8","shape":[12],"data_offsets":[4,16]})"),
              HasSubstr("tensor `b` begins at byte"));
  EXPECT_THAT(error_with(R"("b":{"dtype":"U8","shape":[4],"data_offsets":[12,16]})"),
              HasSubstr("tensor `b` begins at byte"));
  EXPECT_THAT(error_with(R"("a":{"dtype":"U8","shape":[8],"data_offsets":[8,16]})"),
              HasSubstr("tensor `a` is there twice"));
}

TEST(SafetensorsErrors, FlippedBytesNeverDoHarm) {
  const TemporaryFolder folder;
  const std::string bytes = safetensors_bytes(kHeader, kData);
  std::mt19937 random(2);
  int opened = 0, refused = 0;
  size_t sum = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string changed = bytes;
    const size_t place = random() % 3 == 0 ? 0 : random() % changed.size();
    changed[place] = static_cast<char>(random() % 2 ? '0' + random() % 10 : random());
    try {
      const auto file = SafetensorsFile::open(folder.write("model.safetensors", changed));
      for (const SafetensorsTensor& tensor : file->tensors()) {
        for (size_t i = 0; i < tensor.bytes; ++i) sum += static_cast<size_t>(file->data(tensor)[i]);
      }
      ++opened;
    } catch (const LoadError&) {
      ++refused;
    }
  }
  EXPECT_GT(opened, 100) << sum;
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace musaic
