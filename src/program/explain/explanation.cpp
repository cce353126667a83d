#include "program/explain/explanation.h"

#include <algorithm>
#include <set>

namespace musaic {

Work& Work::operator+=(const Work& other) {
  weight_bytes += other.weight_bytes;
  state_bytes += other.state_bytes;
  other_bytes += other.other_bytes;
  float_ops += other.float_ops;
  int8_ops += other.int8_ops;
  seconds += other.seconds;
  return *this;
}

Work Explanation::total() const {
  Work sum;
  for (const ExplainedNode& node : nodes) sum += node.work;
  return sum;
}

int Explanation::num_breaks() const {
  return static_cast<int>(
      std::count_if(segments.begin(), segments.end(), [](const auto& segment) { return segment.is_break; }));
}

int Explanation::num_pieces() const {
  return static_cast<int>(segments.size()) - num_breaks();
}

int Explanation::num_piece_structures() const {
  std::set<int> structures;
  for (const ExplainedSegment& segment : segments) {
    if (!segment.is_break) structures.insert(segment.structure);
  }
  return static_cast<int>(structures.size());
}

int Explanation::num_launches() const {
  return static_cast<int>(
      std::count_if(nodes.begin(), nodes.end(), [](const auto& node) { return node.is_launch(); }));
}

int Explanation::launches_in_breaks() const {
  int launches = 0;
  for (const ExplainedSegment& segment : segments) {
    if (segment.is_break && !segment.is_recorded) launches += segment.launches;
  }
  return launches;
}

bool Explanation::launches_together() const {
  const bool has_room = executable_budget == 0 || static_cast<int>(buckets.size()) <= executable_budget;
  return num_breaks() > 0 && launches_in_breaks() == 0 && has_room;
}

int Explanation::executables() const {
  return (launches_together() ? 1 : num_pieces()) * static_cast<int>(buckets.size());
}

int Explanation::submissions() const {
  return launches_together() ? 1 : num_pieces() + launches_in_breaks();
}

std::string break_sentence(const ExplainedSegment& segment) {
  if (segment.is_recorded)
    return "captured with the piece behind it, since the kernel here reads that on the device: " +
           segment.reason;
  return "not captured: " + segment.reason;
}

std::string structure_letter(int structure) {
  constexpr int kLetters = 26;
  std::string letters(1, static_cast<char>('A' + structure % kLetters));
  return structure < kLetters ? letters : structure_letter(structure / kLetters - 1) + letters;
}

}  // namespace musaic
