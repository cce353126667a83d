#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "weights/model_config.h"
#include "weights/weight_source.h"

namespace musaic {

// Many rows a sequence, or one: a model may compute the same in two forms.
enum class StepForm { kExtend, kDecode };

// What a step feeds a model, and the sizes that its programs are made for.
struct StepInputs {
  Value token_ids;      // [tokens]  i32
  Value positions;      // [tokens]  i32
  Value slots;          // [tokens]  i32, page · page_size + offset
  Value query_start;    // [sequences + 1]  i32
  Value kv_lengths;     // [sequences]  i32
  Value page_table;     // [sequences, max_pages]  i32
  Value num_sequences;  // [1]  i32
  StepForm form = StepForm::kExtend;
};

// One paged state of [pages, heads, page_size, width].
struct CacheState {
  std::string name;  // "layers.3.key_cache"
  int heads = 0;
  int width = 0;
};

// How a model keeps its past: every state holds all tokens, page by page.
struct CacheSpec {
  DType dtype = DType::kF16;
  int page_size = 16;
  std::vector<CacheState> states;

  size_t bytes_per_token() const;
};

struct ModelOptions {
  DType kv_dtype = DType::kF16;
  int page_size = 16;
  bool deepgemm_layouts = false;  // experts' rows lie as DeepGEMM's kernels want them
  bool one_form = false;          // extend steps compute in the form of decode steps, with the same bits
};

// One architecture over one configuration. Its functions append to the graph that is being traced; the
// weights' files tell their dtypes (nullptr: a bare configuration, dtype as configured).
class Model {
 public:
  virtual ~Model() = default;
  // The last residual, [tokens, hidden_size] f32, before the final norm.
  virtual Value forward(GraphBuilder& builder, const StepInputs& inputs) const = 0;
  // Logits [rows, vocab_size] f32 from selected rows of the last residual.
  virtual Value head(GraphBuilder& builder, Value hidden) const = 0;
  virtual CacheSpec cache() const = 0;
};

// REQUIRES: config and weights outlive the model. Throws LoadError for an unknown model_type, and a missing
// or wrong tensor when traced.
std::unique_ptr<Model> make_model(const ModelConfig& config, const WeightSource* weights,
                                  const ModelOptions& options);

// The model types that make_model knows.
std::vector<std::string> model_types();

}  // namespace musaic
