#include "request/batch.h"

#include <gtest/gtest.h>

namespace musaic {
namespace {

TEST(StepRecord, SaysInWordsHowAStepRan) {
  EXPECT_EQ(describe({StepKind::kExtend, true, 61, 64, "bucket", 0.0}), "extend bucket=64 replayed pad=3");
  EXPECT_EQ(describe({StepKind::kDecode, false, 8, 8, "disabled", 0.0}),
            "decode bucket=8 eager pad=0 reason=disabled");
}

}  // namespace
}  // namespace musaic
