#include "scheduler/step_pacer.h"

#include <gtest/gtest.h>

#include <climits>

namespace musaic {
namespace {

TEST(StepPacer, LeavesStepsAloneBeforeTheFirstOneAndWithoutATarget) {
  StepPacer pacer(0.1);
  EXPECT_EQ(pacer.tokens_within_target(), INT_MAX);
  StepPacer without(0.0);
  without.note(10, 5.0);
  EXPECT_EQ(without.tokens_within_target(), INT_MAX);
}

TEST(StepPacer, GivesTheTokensThatFitTheTargetAtTheMeasuredRate) {
  StepPacer pacer(0.1);
  pacer.note(200, 0.2);
  EXPECT_NEAR(pacer.tokens_within_target(), 100, 1);
}

TEST(StepPacer, ForgetsAStepThatWasHeldUp) {
  StepPacer pacer(0.1);
  for (int i = 0; i < 20; ++i) pacer.note(100, 0.1);
  pacer.note(100, 1.0);
  EXPECT_LT(pacer.tokens_within_target(), 50);
  for (int i = 0; i < 20; ++i) pacer.note(100, 0.1);
  EXPECT_GT(pacer.tokens_within_target(), 95);
}

TEST(StepPacer, AsksForOneTokenWhereNoneFits) {
  StepPacer pacer(0.001);
  pacer.note(4, 10.0);
  EXPECT_EQ(pacer.tokens_within_target(), 1);
}

TEST(StepPacer, TakesNoStepThatClaimsToHaveTakenNoTime) {
  StepPacer pacer(0.1);
  pacer.note(100, 0.0);
  pacer.note(0, 1.0);
  EXPECT_EQ(pacer.tokens_within_target(), INT_MAX);
}

}  // namespace
}  // namespace musaic
