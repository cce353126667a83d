/* A Musaic plugin with two ops and their kernels for the CPU:
 *   example::scaled_add(Tensor x, Tensor y, float scale=1.0) -> Tensor      x + scale * y
 *   example::clamp_(Tensor(a!) x, *, float? low=None, float? high=None) -> ()   in place */
#include <musaic/plugin.h>

#include "rows.h"

/* Float rows of one width whose values lie side by side; rows may have gaps between them. */
static int is_rows(const MusaicHost* host, const MusaicMeta* tensor) {
  int64_t last_stride = 0;
  return tensor->dtype == MUSAIC_F32 && tensor->rank == 2 &&
         host->dim_is_number(tensor->strides[1], &last_stride) && last_stride == 1;
}

static MusaicStatus fake_scaled_add(const MusaicFakeCall* call, void* user_data) {
  const MusaicHost* host = call->host;
  const MusaicMeta* x = call->inputs[0];
  const MusaicMeta* y = call->inputs[1];
  MusaicOutput* sum = &call->outputs[0];
  (void)user_data;
  if (x->dtype != y->dtype) return host->fail(call->context, "x and y differ in dtype");
  if (x->rank != y->rank) return host->fail(call->context, "x and y differ in rank");
  for (int32_t i = 0; i < x->rank; ++i) {
    if (!host->dims_are_equal(x->shape[i], y->shape[i]))
      return host->fail(call->context, "x and y differ in shape");
    sum->shape[i] = x->shape[i];
  }
  sum->dtype = x->dtype;
  sum->rank = x->rank;
  return MUSAIC_OK;
}

static MusaicStatus fake_clamp(const MusaicFakeCall* call, void* user_data) {
  (void)user_data;
  if (call->inputs[0]->dtype != MUSAIC_F32) return call->host->fail(call->context, "x is not f32");
  return MUSAIC_OK; /* no outputs: x is written in place */
}

static int32_t supports_rows(const MusaicKernelQuery* query, void* user_data) {
  (void)user_data;
  for (int32_t i = 0; i < query->num_inputs; ++i) {
    if (!is_rows(query->host, query->inputs[i])) return 0;
  }
  return 1;
}

/* What a launch needs, copied when it is enqueued: addresses and sizes, never values that a later replay
 * could see changed. */
typedef struct ScaledAdd {
  FloatRows x;
  FloatRows y;
  FloatRows sum;
  const int32_t* live_rows;
  float scale;
} ScaledAdd;

static void scaled_add_part(const void* arguments, int64_t part, int64_t num_parts) {
  const ScaledAdd* work = (const ScaledAdd*)arguments;
  const int64_t rows = musaic_live_rows(work->live_rows, work->x.rows);
  int64_t begin, end;
  musaic_rows_of_part(rows, part, num_parts, &begin, &end);
  scaled_add_rows(&work->x, &work->y, work->scale, &work->sum, begin, end);
}

static MusaicStatus run_scaled_add(const MusaicKernelCall* call, void* user_data) {
  double scale = 0.0;
  ScaledAdd work;
  (void)user_data;
  if (call->host->get_float(call->context, "scale", &scale) != MUSAIC_OK) return MUSAIC_ERROR;
  work.x = rows_of(&call->inputs[0]);
  work.y = rows_of(&call->inputs[1]);
  work.sum = rows_of(&call->outputs[0]);
  work.live_rows = call->live_rows;
  work.scale = (float)scale;
  return call->host->launch(call->context, scaled_add_part, &work, sizeof(work), 0);
}

typedef struct Clamp {
  FloatRows x;
  const int32_t* live_rows;
  float low;
  float high;
} Clamp;

static void clamp_part(const void* arguments, int64_t part, int64_t num_parts) {
  const Clamp* work = (const Clamp*)arguments;
  int64_t begin, end;
  musaic_rows_of_part(musaic_live_rows(work->live_rows, work->x.rows), part, num_parts, &begin, &end);
  clamp_rows(&work->x, work->low, work->high, begin, end);
}

/* An optional number that was left out keeps the bound that it is given. */
static MusaicStatus read_bound(const MusaicKernelCall* call, const char* name, float* bound) {
  double value = 0.0;
  if (!call->host->has_attribute(call->context, name)) return MUSAIC_OK;
  if (call->host->get_float(call->context, name, &value) != MUSAIC_OK) return MUSAIC_ERROR;
  *bound = (float)value;
  return MUSAIC_OK;
}

static MusaicStatus run_clamp(const MusaicKernelCall* call, void* user_data) {
  Clamp work;
  (void)user_data;
  work.x = rows_of(&call->inputs[0]);
  work.live_rows = call->live_rows;
  work.low = -FLT_MAX;
  work.high = FLT_MAX;
  if (read_bound(call, "low", &work.low) != MUSAIC_OK) return MUSAIC_ERROR;
  if (read_bound(call, "high", &work.high) != MUSAIC_OK) return MUSAIC_ERROR;
  return call->host->launch(call->context, clamp_part, &work, sizeof(work), 0);
}

/* A tensor [rows, width] of random floats; row_stride 0: without gaps. */
static MusaicSampleInput random_rows(int64_t rows, int64_t width, int64_t row_stride) {
  MusaicSampleInput input = {0};
  input.contents = MUSAIC_SAMPLE_RANDOM;
  input.dtype = MUSAIC_F32;
  input.rank = 2;
  input.shape[0] = rows;
  input.shape[1] = width;
  input.row_stride = row_stride;
  input.low = -3.0;
  input.high = 3.0;
  input.flags = MUSAIC_SAMPLE_HAS_ROWS;
  return input;
}

typedef struct SampleShape {
  const char* name;
  int64_t rows, width, row_stride;
} SampleShape;

static const SampleShape sample_shapes[] = {
    {"no row", 0, 8, 0}, {"1 row", 1, 7, 0}, {"odd sizes", 13, 33, 0}, {"gaps between rows", 5, 16, 24}};
enum { NUM_SAMPLE_SHAPES = sizeof(sample_shapes) / sizeof(sample_shapes[0]) };

static MusaicStatus samples_of_scaled_add(const MusaicHost* host, MusaicContext* context, void* user_data) {
  const MusaicAttribute scale = {"scale", MUSAIC_ATTRIBUTE_FLOAT, 0, -0.5, NULL, NULL, 0};
  (void)user_data;
  for (int i = 0; i < NUM_SAMPLE_SHAPES; ++i) {
    const SampleShape* shape = &sample_shapes[i];
    const MusaicSampleInput inputs[] = {random_rows(shape->rows, shape->width, shape->row_stride),
                                        random_rows(shape->rows, shape->width, 0)};
    const MusaicSampleOutput sum = {MUSAIC_F32, 2, {shape->rows, shape->width}, {0}, 0};
    /* Every second one leaves the scale at its default. */
    const MusaicSample sample = {shape->name, 2, 1, i % 2, inputs, &sum, &scale};
    if (host->add_sample(context, &sample) != MUSAIC_OK) return MUSAIC_ERROR;
  }
  return MUSAIC_OK;
}

static MusaicStatus samples_of_clamp(const MusaicHost* host, MusaicContext* context, void* user_data) {
  const MusaicAttribute bounds[] = {{"low", MUSAIC_ATTRIBUTE_FLOAT, 0, -1.0, NULL, NULL, 0},
                                    {"high", MUSAIC_ATTRIBUTE_FLOAT, 0, 2.0, NULL, NULL, 0}};
  (void)user_data;
  for (int i = 0; i < NUM_SAMPLE_SHAPES; ++i) {
    const SampleShape* shape = &sample_shapes[i];
    const MusaicSampleInput x = random_rows(shape->rows, shape->width, shape->row_stride);
    const MusaicSample sample = {shape->name, 1, 0, i % 3, &x, NULL, bounds}; /* none, low, or both */
    if (host->add_sample(context, &sample) != MUSAIC_OK) return MUSAIC_ERROR;
  }
  return MUSAIC_OK;
}

static MusaicStatus init(const MusaicHost* host, MusaicContext* context) {
  const MusaicOpDefinition ops[] = {
      {"example::scaled_add(Tensor x, Tensor y, float scale=1.0) -> Tensor", fake_scaled_add, NULL, 0,
       samples_of_scaled_add},
      {"example::clamp_(Tensor(a!) x, *, float? low=None, float? high=None) -> ()", fake_clamp, NULL, 0,
       samples_of_clamp},
  };
  const MusaicKernelDefinition kernels[] = {
      {"example::scaled_add", "example_scaled_add_cpu", "cpu", supports_rows, run_scaled_add, NULL, NULL},
      {"example::clamp_", "example_clamp_cpu", "cpu", supports_rows, run_clamp, NULL, NULL},
  };
  for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); ++i) {
    if (host->define_op(context, &ops[i]) != MUSAIC_OK) return MUSAIC_ERROR;
  }
  for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); ++i) {
    if (host->add_kernel(context, &kernels[i]) != MUSAIC_OK) return MUSAIC_ERROR;
  }
  return MUSAIC_OK;
}

const MusaicPlugin* musaic_plugin(void) {
  static const MusaicPlugin plugin = {MUSAIC_PLUGIN_ABI_MAJOR, MUSAIC_PLUGIN_ABI_MINOR, "example", init};
  return &plugin;
}
