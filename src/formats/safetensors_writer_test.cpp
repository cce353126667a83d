#include "formats/safetensors_writer.h"

#include <gmock/gmock.h>

#include <cstring>
#include <vector>

#include "base/status.h"
#include "formats/safetensors.h"
#include "formats/test_files.h"

namespace musaic {
namespace {

using musaic::testing::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Row r of a tensor holds base + r, base + r + 0.5, ...
FloatTensor counting(const std::string& name, const Shape& shape, float base) {
  const int64_t width = shape.rank() == 0 ? 1 : shape[-1];
  return {name, shape, [=](int64_t row, float* out) {
            for (int64_t i = 0; i < width; ++i)
              out[i] = base + static_cast<float>(row) + 0.5f * static_cast<float>(i);
          }};
}

std::vector<float> values_of(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsTensor* tensor = file.find_tensor(name);
  std::vector<float> values(tensor->bytes / sizeof(float));
  std::memcpy(values.data(), file.data(*tensor), tensor->bytes);
  return values;
}

TEST(SafetensorsWriter, WhatIsWrittenIsReadBack) {
  const TemporaryFolder folder;
  const FloatTensor tensors[] = {counting("b \"quoted\"", {2, 3}, 10), counting("a", {3}, -1),
                                 counting("scalar", {}, 7), counting("empty", {0, 4}, 0)};
  const auto path = folder.path() / "out.safetensors";
  write_safetensors(path, tensors);
  const auto file = SafetensorsFile::open(path);
  ASSERT_EQ(file->tensors().size(), 4u);
  EXPECT_EQ(file->find_tensor("b \"quoted\"")->shape, (Shape{2, 3}));
  EXPECT_THAT(values_of(*file, "b \"quoted\""), ElementsAre(10, 10.5, 11, 11, 11.5, 12));
  EXPECT_THAT(values_of(*file, "a"), ElementsAre(-1, -0.5, 0));
  EXPECT_THAT(values_of(*file, "scalar"), ElementsAre(7));
  EXPECT_EQ(file->find_tensor("empty")->bytes, 0u);
  for (const SafetensorsTensor& tensor : file->tensors()) EXPECT_EQ(tensor.dtype, DType::kF32);
  EXPECT_EQ(file->tensors().front().file_offset % 64, 0u) << "readers that map the file want it aligned";
}

TEST(SafetensorsWriter, AFileThatCannotBeWrittenIsNamed) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "missing" / "out.safetensors";
  try {
    write_safetensors(path, {});
    FAIL() << "it was written";
  } catch (const LoadError& error) {
    EXPECT_THAT(error.what(), HasSubstr(path.string() + ": cannot be written: No such file or directory"));
  }
}

}  // namespace
}  // namespace musaic
