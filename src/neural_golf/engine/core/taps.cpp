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

void Core::pack(const float* parameters, Packed& packed) {
  std::fill(unread_.begin(), unread_.end(), 0);
  list(plan_, parameters, sparse_below, true, packed.weights().sparse);
  kernels_->pack(plan_, parameters, packed.weights());
}

// Backwards from the scores: a channel is read by taps of channels that are read, be it that their weight is not 0 or
// that its gradient is wanted. Dense stages read all and drop nothing, since they would multiply what is not there by 0.
void Core::drop(const float* parameters, bool training) {
  const TapLists &weights = packed_.weights().sparse, &wanted = wanted_.weights().sparse;
  std::vector<char> read(unread_.size());
  std::fill_n(read.end() - plan_.classes, plan_.classes, 1);
  for (size_t i = stages_.size(); i-- > 0;) {
    const Stage& s = stages_[i];
    char* const own = &read[size_t(s.channel)];
    const bool lists =
        s.kind == Stage::convolution && weights.live[s.live] >= 0 && (!training || wanted.live[s.live] >= 0);
    if (s.kind == Stage::convolution && !lists) std::fill_n(own, s.out.channels, 1);
    bool some = false;
    for (int o = 0; o < s.out.channels; ++o) some |= unread_[size_t(s.channel + o)] = !own[o];
    if (some && lists) {  // what they would send back is left out
      std::vector<float> left(parameters, parameters + plan_.parameters);
      for (int o = 0; o < s.out.channels; ++o)
        if (!own[o]) std::fill_n(&left[size_t(s.weight + o * s.taps())], s.taps(), 0.0f);
      list(s, false, left.data(), weights.taps + s.packed, weights.live + s.live);
      if (s.needs_input_gradient) list(s, true, left.data(), weights.taps + s.packed_back, weights.live + s.live_back);
    }
    if (s.kind == Stage::sum)
      for (int o = 0; o < s.out.channels; ++o) read[size_t(stages_[size_t(s.other)].channel + o)] |= own[o];
    if (i == 0) continue;
    const int channels = stages_[i - 1].out.channels;
    char* const before = &read[size_t(stages_[i - 1].channel)];
    if (s.kind != Stage::convolution) {
      for (int o = 0; o < channels; ++o) before[o] |= own[o];
      continue;
    }
    if (!lists) std::fill_n(before, channels, 1);
    const int flat = s.in.channels / channels;  // of a linear layer: its inputs per channel
    const auto reads = [&](const TapLists& from, int o) {
      const Tap* tap = from.taps + s.packed + size_t(o) * size_t(s.taps());
      for (int k = 0; k < from.live[s.live + o]; ++k)
        before[(o / s.outputs() * s.inputs() + (tap[k].at - s.weight) % s.taps() / s.kernel.area()) / flat] = 1;
    };
    for (int o = 0; lists && o < s.out.channels; ++o) {
      if (!own[o]) continue;
      reads(weights, o);
      if (training) reads(wanted, o);
    }
  }
}

const float* Core::take(const float* parameters, bool training) {
  if (!source_.empty()) {
    for (size_t i = 0; i < source_.size(); ++i) unrolled_[i] = parameters[source_[i]];
    parameters = unrolled_.data();
  }
  pack(parameters, packed_);
  drop(parameters, training);
  return parameters;
}

void Core::want(const bool* mask) {
  std::vector<char> now(size_t(stored_), 1);
  if (mask) std::copy_n(mask, stored_, now.begin());
  if (now == asked_ && sparse_below == asked_below_) return;  // as in most steps of a descent
  std::vector<int> slot_of(size_t(stored_), -1);
  slots_.clear(), place_.clear(), slot_.clear(), dirty_.clear();
  for (int q = 0; q < stored_; ++q)
    if (now[size_t(q)]) slot_of[size_t(q)] = int(slots_.size()), slots_.push_back(q);
  std::vector<char> gets(size_t(plan_.parameters));  // a gradient, wanted or not
  for (int i = 0; i < plan_.parameters; ++i) {
    const int slot = slot_of[size_t(source_.empty() ? i : source_[size_t(i)])];
    if (slot >= 0) place_.push_back(i), slot_.push_back(slot), gets[size_t(i)] = 1;
  }
  const TapLists& to = wanted_.weights().sparse;
  list(plan_, gets.data(), sparse_below, false, to);
  for (const Stage& s : stages_) {  // biases, slopes and dense stages get all of theirs
    if (s.bias >= 0) std::fill_n(gets.begin() + s.bias, s.out.channels, 1);
    if (s.slope >= 0) std::fill_n(gets.begin() + s.slope, s.out.channels, 1);
    if (s.kind == Stage::convolution && to.live[s.live] < 0)
      std::fill_n(gets.begin() + s.weight, s.out.channels * s.taps(), 1);
  }
  for (int i = 0; i < plan_.parameters; ++i) {
    if (!gets[size_t(i)]) continue;
    if (dirty_.empty() || dirty_.back().second != i) dirty_.push_back({i, i});
    dirty_.back().second = i + 1;
  }
  asked_ = std::move(now), asked_below_ = sparse_below;
}

void Core::clear(Worker& worker) const {
  for (const auto& [from, to] : dirty_)
    std::fill_n(worker.sums.data() + size_t(from) * L, size_t(to - from) * L, 0.0f);
}

const float* Core::fold(Worker& worker) const {
  if (int(slots_.size()) == plan_.parameters) return worker.sums.data();  // one slot each, in order
  std::fill_n(worker.folded.data(), slots_.size() * L, 0.0f);
  kernels_->fold(worker.sums.data(), place_.data(), slot_.data(), int(place_.size()), worker.folded.data());
  return worker.folded.data();
}

}  // namespace golf
