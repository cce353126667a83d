/* Musaic's plugin interface: a shared library brings operators (schema, fake kernel) and kernels for them or
 * for operators that are there already. Plain C99; this header is all that a plugin needs. docs/PLUGINS.md is
 * the guide, examples/plugin/ a whole plugin.
 *
 * A library exports one function, musaic_plugin(), and is loaded with `musaic VERB --plugin PATH`.
 *
 * Versions. The major number changes when something that is here changes its layout or meaning: a library of
 * another major version is refused. The minor number grows when something is added: functions at the end of
 * MusaicHost, fields at the end of the structs that the host fills in or that a plugin gives, values of the
 * enumerations. A library built for a later minor version than the host's is refused; an earlier one works,
 * and its structs are read as they were then. So a plugin built against this header runs with every host of
 * this major version and this or a later minor version.
 *
 * Ownership. What a plugin gives in MusaicPlugin (name, functions, user data) must stay valid as long as the
 * process lives; the library is never unloaded. The host copies every string, schema, definition and launch
 * argument that it is handed. What the host hands to a callback (the context, tensors, dimensions, strings,
 * lists) is valid until that callback returns; addresses of tensors, workspace and live_rows are valid for
 * every run of the launches that the callback enqueues.
 *
 * Threads. The init function runs once, on the thread that starts the process, before any other callback.
 * Fakes, predicates, workspace sizes and kernels are called by one thread at a time, which need not be the
 * same one always; several graphs may be traced at once, so a fake keeps no state. Only launch bodies run on
 * several threads at once. No callback may call the host functions with another callback's context, keep a
 * context, or let a C++ exception out.
 *
 * Errors. A callback that cannot go on returns host->fail(context, "one sentence"). Host functions that fail
 * do the same by themselves: pass their status on. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MUSAIC_PLUGIN_ABI_MAJOR 1
#define MUSAIC_PLUGIN_ABI_MINOR 0

#define MUSAIC_MAX_RANK 6
#define MUSAIC_MAX_LAUNCH_BYTES 384

#if defined(_WIN32)
#define MUSAIC_PLUGIN_EXPORT __declspec(dllexport)
#else
#define MUSAIC_PLUGIN_EXPORT __attribute__((visibility("default")))
#endif

typedef int32_t MusaicStatus;
enum { MUSAIC_OK = 0, MUSAIC_ERROR = 1 };

/* Element types. The block-quantized ones hold MUSAIC_Q8_0..: 32 or 256 values in one block along the last
 * dimension, as in GGUF; shapes and strides always count values. */
typedef int32_t MusaicDType;
enum {
  MUSAIC_F32 = 0,
  MUSAIC_F16 = 1,
  MUSAIC_BF16 = 2,
  MUSAIC_F8_E4M3 = 3,
  MUSAIC_I64 = 4,
  MUSAIC_I32 = 5,
  MUSAIC_I16 = 6,
  MUSAIC_I8 = 7,
  MUSAIC_U8 = 8,
  MUSAIC_BOOL = 9,
  MUSAIC_Q8_0 = 10,
  MUSAIC_Q4_0 = 11,
  MUSAIC_Q4_1 = 12,
  MUSAIC_Q5_0 = 13,
  MUSAIC_Q5_1 = 14,
  MUSAIC_Q4_K = 15,
  MUSAIC_Q5_K = 16,
  MUSAIC_Q6_K = 17
};

/* The host's side of one callback. */
typedef struct MusaicContext MusaicContext;
typedef struct MusaicHost MusaicHost;

/* A dimension as tracing sees it: a number, a symbol like the count of tokens, or an expression of them. */
typedef struct MusaicDim MusaicDim;

typedef int32_t MusaicDimOperation;
enum {
  MUSAIC_DIM_ADD = 0,
  MUSAIC_DIM_SUBTRACT = 1,
  MUSAIC_DIM_MULTIPLY = 2,
  MUSAIC_DIM_CEIL_DIVIDE = 3, /* the quotient, rounded up */
  MUSAIC_DIM_ROUND_UP = 4,    /* the first, rounded up to a multiple of the second */
  MUSAIC_DIM_MINIMUM = 5
};

/* A tensor without data. */
typedef struct MusaicMeta {
  MusaicDType dtype;
  int32_t rank;
  const MusaicDim* shape[MUSAIC_MAX_RANK];
  const MusaicDim* strides[MUSAIC_MAX_RANK]; /* in values */
  const char* device;                        /* "cpu", "cuda:0" */
} MusaicMeta;

/* A tensor at its final address. */
typedef struct MusaicTensor {
  void* data; /* NULL: an optional argument that is absent */
  MusaicDType dtype;
  int32_t rank;
  int64_t shape[MUSAIC_MAX_RANK];
  int64_t strides[MUSAIC_MAX_RANK]; /* in values */
} MusaicTensor;

/* One output of a fake kernel. The host hands it out as a contiguous f32 of rank 0 that is no view. */
typedef struct MusaicOutput {
  MusaicDType dtype;
  int32_t rank;
  const MusaicDim* shape[MUSAIC_MAX_RANK];
  const MusaicDim* strides[MUSAIC_MAX_RANK]; /* all NULL: contiguous */
  int32_t view_of;                           /* the tensor argument that it is a view of; -1: none */
  const MusaicDim* view_offset;              /* in values of that argument; NULL: 0 */
} MusaicOutput;

/* What a fake kernel is asked: dtype, shape, strides and aliasing of the outputs from those of the inputs,
 * without data. It refuses arguments that no kernel could take. Inputs are the schema's tensor arguments in
 * order (NULL: an optional that is absent), outputs its returns. Outputs lie on the device of the inputs. */
typedef struct MusaicFakeCall {
  const MusaicHost* host;
  MusaicContext* context;
  int32_t num_inputs;
  int32_t num_outputs;
  const MusaicMeta* const* inputs;
  MusaicOutput* outputs; /* to be filled in */
} MusaicFakeCall;

typedef MusaicStatus (*MusaicFake)(const MusaicFakeCall* call, void* user_data);

/* What a kernel's predicate and its workspace size are asked. */
typedef struct MusaicKernelQuery {
  const MusaicHost* host;
  MusaicContext* context;
  int32_t num_inputs;
  int32_t num_outputs;
  const MusaicMeta* const* inputs;  /* NULL: absent */
  const MusaicMeta* const* outputs; /* as the fake gave them */
} MusaicKernelQuery;

/* Whether the kernel can run such a call: 1 or 0. */
typedef int32_t (*MusaicSupports)(const MusaicKernelQuery* query, void* user_data);

/* Bytes of scratch memory for such a call; NULL after an error. */
typedef const MusaicDim* (*MusaicWorkspace)(const MusaicKernelQuery* query, void* user_data);

/* One call of a kernel at final addresses, 64-byte aligned at the start of each memory. The callback only
 * takes them out and enqueues launches: in a captured program it is called once and its launches are run
 * again and again, so whatever depends on data, live_rows first of all, is read in the launch's body. Nothing
 * is allocated: scratch memory is the workspace. Outputs are memory that is not initialised. */
typedef struct MusaicKernelCall {
  const MusaicHost* host;
  MusaicContext* context;
  int32_t num_inputs;
  int32_t num_outputs;
  const MusaicTensor* inputs;  /* the schema's tensor arguments; written ones are written in place */
  const MusaicTensor* outputs; /* the schema's returns */
  void* workspace;
  size_t workspace_bytes;
  /* How many leading rows are real; those after them are padding, to be neither read nor written. In device
   * memory: read it when the work runs. NULL: all rows are real. */
  const int32_t* live_rows;
} MusaicKernelCall;

typedef MusaicStatus (*MusaicRun)(const MusaicKernelCall* call, void* user_data);

/* Work on host threads: called once for each part 0 .. num_parts - 1, several at a time, on copied arguments.
 * All parts are done before the next launch begins. */
typedef void (*MusaicBody)(const void* arguments, int64_t part, int64_t num_parts);

/* How a tensor of a sample is filled. */
enum {
  MUSAIC_SAMPLE_ABSENT = 0, /* an optional argument that is left out; no other field counts */
  MUSAIC_SAMPLE_RANDOM = 1, /* uniform from low to high; of floats and quantized blocks low is -high */
  MUSAIC_SAMPLE_VALUES = 2  /* `values`, as the dtype stores them, without gaps */
};

enum {
  /* Dimension 0 counts the op's rows, of which the last may be padding. */
  MUSAIC_SAMPLE_HAS_ROWS = 1,
  /* A written argument whose old values do not matter: every value of its live rows is written. */
  MUSAIC_SAMPLE_OVERWRITTEN = 2
};

typedef struct MusaicSampleInput {
  int32_t contents;
  MusaicDType dtype;
  int32_t rank;
  int64_t shape[MUSAIC_MAX_RANK];
  int64_t row_stride; /* of dimension 0, in values; 0: no gaps between rows */
  double low;
  double high;
  const void* values;
  uint32_t flags;
} MusaicSampleInput;

/* What the op's contract says of an output, so that its fake can be compared with it. */
typedef struct MusaicSampleOutput {
  MusaicDType dtype;
  int32_t rank;
  int64_t shape[MUSAIC_MAX_RANK];
  int64_t strides[MUSAIC_MAX_RANK]; /* all 0: contiguous */
  int64_t offset;                   /* of a view, in values of its base */
} MusaicSampleOutput;

typedef int32_t MusaicAttributeType;
enum {
  MUSAIC_ATTRIBUTE_INT = 0,
  MUSAIC_ATTRIBUTE_FLOAT = 1,
  MUSAIC_ATTRIBUTE_BOOL = 2, /* in whole_number: 0 or 1 */
  MUSAIC_ATTRIBUTE_STRING = 3,
  MUSAIC_ATTRIBUTE_INT_LIST = 4
};

typedef struct MusaicAttribute {
  const char* name;
  MusaicAttributeType type;
  int64_t whole_number;
  double number;
  const char* string;
  const int64_t* list;
  int64_t list_length;
} MusaicAttribute;

/* One call to check the op with. The check varies the number of live rows by itself. */
typedef struct MusaicSample {
  const char* name; /* what is special: "1 row", "gaps between rows" */
  int32_t num_inputs;
  int32_t num_outputs;
  int32_t num_attributes; /* those with a default may be left out */
  const MusaicSampleInput* inputs;
  const MusaicSampleOutput* outputs;
  const MusaicAttribute* attributes;
} MusaicSample;

/* Gives calls to check the op with, each through add_sample: 0, 1 and odd numbers of rows, gaps between rows
 * where the op takes them, every dtype of its kernels. The same ones at every call. */
typedef MusaicStatus (*MusaicSamples)(const MusaicHost* host, MusaicContext* context, void* user_data);

enum {
  MUSAIC_OP_IS_BREAK = 1, /* runs between captured pieces instead of inside one */
  MUSAIC_OP_IS_VIEW = 2   /* has no kernel: its outputs are views of its inputs */
};

typedef struct MusaicOpDefinition {
  /* PyTorch's grammar: "example::scale(Tensor x, float factor=2.0) -> Tensor". Tensor(a!) is written in
   * place, a return Tensor(a) is a view of the argument Tensor(a). */
  const char* schema;
  MusaicFake fake; /* NULL: somebody else adds it; nothing is traced before */
  void* user_data; /* for the fake and the samples */
  uint32_t flags;
  MusaicSamples samples; /* NULL: none, so the op cannot be checked */
} MusaicOpDefinition;

typedef struct MusaicKernelDefinition {
  const char* op;          /* "example::scale", defined here or before; built-in ops too */
  const char* name;        /* for lists and messages: "example_scale_cpu" */
  const char* device_type; /* "cpu" */
  MusaicSupports supports; /* NULL: always */
  MusaicRun run;
  MusaicWorkspace workspace; /* NULL: none */
  void* user_data;           /* for the three */
} MusaicKernelDefinition;

/* The host's functions. */
struct MusaicHost {
  uint32_t abi_major;
  uint32_t abi_minor;
  const char* version; /* Musaic's own, "0.1.0" */

  /* Any callback. Records why it cannot go on; the first sentence counts. Returns MUSAIC_ERROR. */
  MusaicStatus (*fail)(MusaicContext* context, const char* message);

  /* Init only. An op of that name may not be there yet. */
  MusaicStatus (*define_op)(MusaicContext* context, const MusaicOpDefinition* definition);
  /* Init only. Attaches the fake kernel where the op is defined, and says in *attached whether it was; an op
   * that has one already is an error. */
  MusaicStatus (*register_fake_if_exists)(MusaicContext* context, const char* op, MusaicFake fake,
                                          void* user_data, int32_t* attached);
  /* Init only. The kernel is asked before those that the op has already: the last one added comes first. */
  MusaicStatus (*add_kernel)(MusaicContext* context, const MusaicKernelDefinition* definition);
  /* Init only: 1 or 0. */
  int32_t (*has_op)(MusaicContext* context, const char* op);

  /* Fakes, predicates and workspace sizes. A NULL operand gives NULL. */
  const MusaicDim* (*dim)(MusaicContext* context, int64_t value);
  const MusaicDim* (*combine_dims)(MusaicContext* context, MusaicDimOperation operation, const MusaicDim* a,
                                   const MusaicDim* b);
  /* Whether the dimension is a number, which is then in *value: 1 or 0. */
  int32_t (*dim_is_number)(const MusaicDim* dim, int64_t* value);
  /* Whether both are the same number or expression: 1 or 0. */
  int32_t (*dims_are_equal)(const MusaicDim* a, const MusaicDim* b);
  /* "tokens", "576": for messages. */
  const char* (*dim_text)(MusaicContext* context, const MusaicDim* dim);

  /* All but init: the call's arguments that are no tensors, by their names in the schema. Defaults are filled
   * in. Another name or type than the schema's, or an optional that was left out, is an error. */
  int32_t (*has_attribute)(MusaicContext* context, const char* name);
  MusaicStatus (*get_int)(MusaicContext* context, const char* name, int64_t* value);
  MusaicStatus (*get_float)(MusaicContext* context, const char* name, double* value);
  MusaicStatus (*get_bool)(MusaicContext* context, const char* name, int32_t* value);
  MusaicStatus (*get_string)(MusaicContext* context, const char* name, const char** value);
  MusaicStatus (*get_int_list)(MusaicContext* context, const char* name, const int64_t** values,
                               int64_t* count);

  /* Predicates and workspace sizes. What the device can do, by name, such as "avx2": 1 or 0. */
  int32_t (*has_feature)(MusaicContext* context, const char* feature);

  /* Kernels only. Enqueues work, or records it while a capture is going on: body and a copy of the arguments,
   * at most MUSAIC_MAX_LAUNCH_BYTES that mean the same wherever they lie, 16-byte aligned when the body gets
   * them. num_parts 0: as many as there are threads; results may not depend on how many parts there are. An
   * error on a device whose kernels do not run on host threads. */
  MusaicStatus (*launch)(MusaicContext* context, MusaicBody body, const void* arguments, size_t bytes,
                         int64_t num_parts);
  /* Kernels only: how many parts run at once. */
  int32_t (*num_threads)(MusaicContext* context);

  /* Samples only. Copies the sample. */
  MusaicStatus (*add_sample)(MusaicContext* context, const MusaicSample* sample);
};

/* Defines ops and adds kernels through the host's functions. */
typedef MusaicStatus (*MusaicInit)(const MusaicHost* host, MusaicContext* context);

/* What a library is. The versions stay the first fields in every version. */
typedef struct MusaicPlugin {
  uint32_t abi_major; /* MUSAIC_PLUGIN_ABI_MAJOR */
  uint32_t abi_minor; /* MUSAIC_PLUGIN_ABI_MINOR */
  const char* name;   /* for messages */
  MusaicInit init;
} MusaicPlugin;

/* The one function that a library exports. */
MUSAIC_PLUGIN_EXPORT const MusaicPlugin* musaic_plugin(void);

/* How many of `rows` leading rows are real; for launch bodies. */
static inline int64_t musaic_live_rows(const int32_t* live_rows, int64_t rows) {
  return live_rows == NULL || *live_rows > rows ? rows : *live_rows;
}

/* The rows of a part: *begin .. *end - 1 of 0 .. rows - 1, as equal as may be; for launch bodies. */
static inline void musaic_rows_of_part(int64_t rows, int64_t part, int64_t num_parts, int64_t* begin,
                                       int64_t* end) {
  *begin = rows / num_parts * part + rows % num_parts * part / num_parts;
  *end = rows / num_parts * (part + 1) + rows % num_parts * (part + 1) / num_parts;
}

#ifdef __cplusplus
}
#endif
