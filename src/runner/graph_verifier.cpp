#include "runner/graph_verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace musaic {
namespace {

// A device whose replays sum in another order than its eager runs says so by the feature "inexact_replay".
constexpr double kInexactTolerance = 1e-3;  // float32 sums of some thousand terms, with room
constexpr size_t kMaxOpsInName = 4;

std::string segment_name(const Program& program, int index) {
  const Segment& segment = program.segments()[index];
  std::string ops;
  for (int node = segment.begin; node < segment.end; ++node) {
    if (node - segment.begin == static_cast<int>(kMaxOpsInName)) {
      ops += ", ...";
      break;
    }
    ops += (ops.empty() ? "" : ", ") + program.graph().nodes[node].op;
  }
  return fmt::format("{} (nodes {}..{}: {})", program.segment_name(index), segment.begin, segment.end - 1,
                     ops);
}

void append(std::vector<Region>& regions, std::vector<Region> more) {
  regions.insert(regions.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::string first_changed(std::span<const Region> regions, const std::vector<uint64_t>& before,
                          const std::vector<uint64_t>& after) {
  for (size_t i = 0; i < regions.size(); ++i) {
    if (before[i] != after[i]) return regions[i].value;
  }
  return "";
}

// A replay of which each launch finds NaN wherever nothing was written for it.
void replay_poisoned(Backend& backend, Program& program, int bucket) {
  for (int i = 0; i < static_cast<int>(program.launch_units().size()); ++i) {
    poison(backend, arena_gaps(program, bucket, program.launch_units()[i].begin));
    program.replay_unit(bucket, i);
  }
  backend.stream().synchronize();
}

}  // namespace

std::string describe(const VerifyFinding& finding) {
  if (!finding.stray.empty())
    return fmt::format(
        "graph-verify: the replay of {} bucket {} writes {} outside of the step's pages and slots",
        finding.graph, finding.bucket, finding.stray);
  std::string text = fmt::format(
      "graph-verify: the replay of {} bucket {} differs from its eager run by up to {:.6g} in {} ({} "
      "elements)",
      finding.graph, finding.bucket, finding.whole.largest, finding.whole.value, finding.whole.num_elements);
  for (const VerifyFinding::Piece& piece : finding.pieces)
    text +=
        fmt::format("; {}: up to {:.6g} in {}", piece.name, piece.difference.largest, piece.difference.value);
  if (finding.pieces.empty()) text += "; no piece differs alone, so one reads what another has written over";
  return text;
}

GraphVerifier::GraphVerifier(Backend& backend, double share)
    : backend_(backend),
      share_(share),
      tolerance_(backend.capabilities().has("inexact_replay") ? kInexactTolerance : 0.0) {}

bool GraphVerifier::take_step() {
  if (share_ <= 0.0) return false;
  const double before = std::floor(static_cast<double>(num_steps_) * share_);
  const double after = std::floor(static_cast<double>(++num_steps_) * share_);
  if (after <= before) return false;
  ++num_verified_;
  return true;
}

std::optional<VerifyFinding> GraphVerifier::verify(Program& program, int bucket, const LiveExtent& extent) {
  const std::vector<Region> states = mutated_states(program, bucket, extent);
  const std::vector<Region> outputs = live_outputs(program, bucket, extent);
  std::vector<Region> results = outputs;
  append(results, states);
  pages_end_ = std::max(pages_end_, extent.pages_end);
  const std::vector<Region> guarded = partly_written_states(program, bucket, pages_end_);

  backend_.stream().synchronize();
  const RegionCopy found(backend_, states);
  const std::vector<uint64_t> sums = checksums(backend_, guarded);
  poison(backend_, outputs);
  replay_poisoned(backend_, program, bucket);
  const RegionCopy replayed(backend_, results);
  found.restore(backend_);
  const std::string stray = first_changed(guarded, sums, checksums(backend_, guarded));
  poison(backend_, outputs);
  program.run_eagerly(bucket);
  const RegionCopy eager(backend_, results);
  const auto difference = compare(replayed, eager, tolerance_);
  if (!difference && stray.empty()) return std::nullopt;

  VerifyFinding finding{.graph = program.graph().name,
                        .bucket = bucket,
                        .step = num_steps_ - 1,
                        .stray = stray,
                        .whole = difference.value_or(Difference{}),
                        .pieces = {}};
  if (stray.empty()) {
    found.restore(backend_);
    finding.pieces = compare_pieces(program, bucket, extent);
  }
  const std::lock_guard lock(mutex_);
  findings_.push_back(finding);
  return finding;
}

// Every segment is replayed and run eagerly from the same data, so that a difference is its own.
std::vector<VerifyFinding::Piece> GraphVerifier::compare_pieces(Program& program, int bucket,
                                                                const LiveExtent& extent) {
  const Region arena{"arena", DType::kU8, program.arena(), program.plan(bucket).arena_bytes};
  std::vector<Region> shared = live_outputs(program, bucket, extent);
  append(shared, mutated_states(program, bucket, extent));
  std::vector<VerifyFinding::Piece> pieces;
  for (int i = 0; i < static_cast<int>(program.segments().size()); ++i) {
    const Segment& segment = program.segments()[i];
    std::vector<Region> written = shared;
    append(written, values_crossing(program, bucket, extent, segment.begin, segment.end));
    std::vector<Region> all = shared;
    all.push_back(arena);
    const RegionCopy before(backend_, std::move(all));
    program.replay_segment(bucket, i);
    const RegionCopy replayed(backend_, written);
    before.restore(backend_);
    program.run_segment_eagerly(bucket, i);
    const RegionCopy eager(backend_, written);
    if (const auto difference = compare(replayed, eager, tolerance_))
      pieces.push_back({segment_name(program, i), *difference});
  }
  return pieces;
}

std::vector<VerifyFinding> GraphVerifier::findings() const {
  const std::lock_guard lock(mutex_);
  return findings_;
}

}  // namespace musaic
