// Which taps of a convolution are listed one by one, because most of its weights are zero or because
// the gradients of few are wanted; and what of a gradient goes where.

#include <algorithm>

#include "core.hpp"

namespace golf {
namespace {

// What is not 0 in `what` [parameters], for every output channel; or, turned round, for every input
// channel as the output of the convolution that gives the input gradient.
template <class T>
void list(const Stage& s, bool back, const T* what, Tap* taps, int* live) {
  const Map& from = back ? s.gz : s.in;
  const int in = s.inputs(), out = s.outputs(), area = s.kernel.area();
  const int inputs = back ? out : in, outputs = back ? in : out;
  for (int o = 0; o < outputs * s.groups; ++o, taps += inputs * area) {
    Tap* next = taps;
    for (int i = 0; i < inputs; ++i) {
      const int first = s.weight + (back ? (o / in * out + i) * in + o % in : o * in + i) * area;
      for (int ky = 0, t = 0; ky < s.kernel.y; ++ky)
        for (int kx = 0; kx < s.kernel.x; ++kx, ++t) {  // no branch: which weights are zero is hard to predict
          const int at = first + (back ? area - 1 - t : t), y = ky * s.dilation.y, x = kx * s.dilation.x;
          *next = {int(i * from.plane() + y * from.row()) + x * L, y, at, float(what[at])};
          next += what[at] != 0;
        }
    }
    live[o] = int(next - taps);
  }
}

template <class T>
void list(const Plan& plan, const T* what, double below, bool back, const TapLists& to) {
  for (int i = 0; i < plan.count; ++i) {
    const Stage& s = plan.stages[i];
    if (s.kind != Stage::convolution) continue;
    const int weights = s.out.channels * s.taps();
    const T* w = what + s.weight;
    if (!(back && s.strided()) && weights - std::count(w, w + weights, T(0)) >= below * weights) {
      to.live[s.live] = -1;
      continue;
    }
    list(s, false, what, to.taps + s.packed, to.live + s.live);
    if (back && s.needs_input_gradient) list(s, true, what, to.taps + s.packed_back, to.live + s.live_back);
  }
}

}  // namespace

void Core::pack(const float* parameters, Packed& packed) const {
  list(plan_, parameters, sparse_below, true, packed.weights().sparse);
  kernels_->pack(plan_, parameters, packed.weights());
}

const float* Core::take(const float* parameters) {
  if (!source_.empty()) {
    for (size_t i = 0; i < source_.size(); ++i) unrolled_[i] = parameters[source_[i]];
    parameters = unrolled_.data();
  }
  pack(parameters, packed_);
  return parameters;
}

void Core::want(const bool* mask) {
  std::vector<int> slot_of(size_t(stored_), -1);
  slots_.clear();
  for (int q = 0; q < stored_; ++q)
    if (!mask || mask[q]) slot_of[size_t(q)] = int(slots_.size()), slots_.push_back(q);
  std::vector<char> wanted(size_t(plan_.parameters));
  for (size_t i = 0; i < wanted.size(); ++i) {
    slot_[i] = slot_of[source_.empty() ? i : size_t(source_[i])];
    wanted[i] = slot_[i] >= 0;
  }
  list(plan_, wanted.data(), sparse_below, false, wanted_.weights().sparse);
}

const float* Core::fold(Worker& worker) const {
  if (slots_.size() == slot_.size()) return worker.sums.data();  // one slot each, in order
  std::fill_n(worker.folded.data(), slots_.size() * L, 0.0f);
  kernels_->fold(worker.sums.data(), slot_.data(), plan_.parameters, worker.folded.data());
  return worker.folded.data();
}

}  // namespace golf
