#include "formats/gguf.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace musaic {
namespace {

TEST(Gguf, OpensTheDefaultModel) {
  const char* path = std::getenv("MUSAIC_DEFAULT_MODEL");
  if (path == nullptr) GTEST_SKIP() << "MUSAIC_DEFAULT_MODEL is not set";
  const auto gguf = GgufFile::open(path);
  EXPECT_EQ(gguf->get<std::string>("general.architecture"), "llama");
  EXPECT_EQ(gguf->get<std::vector<std::string>>("tokenizer.ggml.tokens").size(), 49152u);
  const GgufTensor* embedding = gguf->find_tensor("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->shape, (Shape{49152, 576}));
  EXPECT_EQ(embedding->dtype, DType::kQ8_0);
}

}  // namespace
}  // namespace musaic
