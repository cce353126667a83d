/* The kernels' arithmetic against values worked out by hand. */
#include "rows.h"

#include <stdio.h>
#include <string.h>

static int failures = 0;

static void expect_floats(const char* what, const float* got, const float* expected, size_t count) {
  if (memcmp(got, expected, count * sizeof(float)) == 0) return;
  fprintf(stderr, "%s: differs\n", what);
  ++failures;
}

static void test_scaled_add_skips_gaps_and_other_rows(void) {
  float x[] = {1, 2, -1, 3, 4, -1};
  float y[] = {10, 20, 30, 40};
  float sum[] = {0, 0, 0, 0};
  const FloatRows x_rows = {x, 2, 2, 3}, y_rows = {y, 2, 2, 2}, sum_rows = {sum, 2, 2, 2};
  scaled_add_rows(&x_rows, &y_rows, 0.5f, &sum_rows, 1, 2);
  expect_floats("scaled_add, second row", sum, (const float[]){0, 0, 18, 24}, 4);
}

static void test_clamp_keeps_what_is_within(void) {
  float x[] = {-2, 0.5f, 3, 9};
  const FloatRows rows = {x, 1, 3, 4};
  clamp_rows(&rows, -1.0f, 1.0f, 0, 1);
  expect_floats("clamp", x, (const float[]){-1, 0.5f, 1, 9}, 4);
}

static void test_parts_cover_all_rows_once(void) {
  for (int64_t rows = 0; rows < 20; ++rows) {
    for (int64_t parts = 1; parts < 8; ++parts) {
      int64_t next = 0, begin, end;
      for (int64_t part = 0; part < parts; ++part) {
        musaic_rows_of_part(rows, part, parts, &begin, &end);
        if (begin != next || end < begin) ++failures;
        next = end;
      }
      if (next != rows) ++failures;
    }
  }
}

static void test_live_rows_are_at_most_all(void) {
  const int32_t few = 3, many = 9;
  if (musaic_live_rows(NULL, 5) != 5 || musaic_live_rows(&few, 5) != 3 || musaic_live_rows(&many, 5) != 5)
    ++failures;
}

int main(void) {
  test_scaled_add_skips_gaps_and_other_rows();
  test_clamp_keeps_what_is_within();
  test_parts_cover_all_rows_once();
  test_live_rows_are_at_most_all();
  if (failures == 0) printf("all well\n");
  return failures == 0 ? 0 : 1;
}
