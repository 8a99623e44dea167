// Brute-force zeroing. What a parameter can change starts at one channel of one stage: that channel
// is computed again, then the stages after it; everything before is kept.

#include <algorithm>
#include <cstring>
#include <numeric>

#include "core.hpp"

namespace golf {
namespace {

struct Place {
  int stage = 0, channel = 0;
  bool tied = false;  // later stages read the parameter too
};

std::vector<Place> places(const Plan& plan) {
  std::vector<Place> out(size_t(plan.parameters));
  std::vector<bool> seen(out.size());
  for (int i = 0; i < plan.count; ++i) {
    const Stage& s = plan.stages[i];
    const auto add = [&](int offset, int per_channel) {
      if (offset < 0) return;
      for (int k = 0; k < s.out.channels * per_channel; ++k) {
        const size_t q = size_t(offset + k);
        if (seen[q])
          out[q].tied = true;
        else
          out[q] = {i, k / per_channel, false};
        seen[q] = true;
      }
    };
    add(s.weight, s.taps());
    add(s.bias, 1);
    add(s.slope, 1);
  }
  return out;
}

}  // namespace

// The state of one pass of zeroing: the maps of every group of images, for the parameters as they
// are now. A candidate is tried in place; where it is rejected, what it changed is put back.
class Sweep {
 public:
  // Maps are kept where they fit into `most_bytes`; else every candidate starts from the images.
  Sweep(Core& core, float* parameters, const Images& images, const int64_t* labels, size_t most_bytes)
      : core_(core),
        plan_(core.plan_),
        parameters_(parameters),
        trial_(parameters, parameters + core.plan_.parameters),
        trial_packed_(core.plan_),
        images_(images),
        places_(places(plan_)) {
    core_.pack(parameters_, core_.packed_);
    order(labels);
    groups_ = (images_.count + L - 1) / L;
    const size_t floats = plan_.inference_floats * size_t(groups_);
    keeps_ = floats * sizeof(float) <= most_bytes;
    if (keeps_) maps_ = AlignedFloats(floats);
    size_t plane = 0;
    for (int i = 0; i < plan_.count; ++i) plane = std::max(plane, plan_.stages[i].out.plane());
    plane_ = plane;
    if (keeps_) undo_.resize(plane * size_t(groups_));
    right_.resize(size_t(groups_));
    tried_.assign(size_t(groups_), -1);
    valid_.assign(size_t(groups_), plan_.count);
    core_.team_.run(groups_, [&](int64_t g, int w) {
      float* ws = fill(g, w);
      core_.kernels_->forward(plan_, 0, plan_.count, parameters_, core_.packed_.weights(), ws, false);
      right_[size_t(g)] = core_.right(ws, labels_.data() + g * L, size(g));
    });
    correct_ = std::accumulate(right_.begin(), right_.end(), int64_t(0));
  }

  int64_t correct() const { return correct_; }

  // Sets parameter q to zero where at least `threshold` images stay right. True where it stays zero.
  bool zero(int64_t q, int64_t threshold) {
    const int64_t may_fail = images_.count - threshold;
    if (parameters_[q] == 0) return correct_ >= threshold;
    const float before = trial_[size_t(q)];
    trial_[size_t(q)] = 0;
    core_.pack(trial_.data(), trial_packed_);
    std::atomic<int64_t> failed{0}, right{0};
    core_.team_.run(groups_, [&](int64_t g, int w) {
      if (failed.load(std::memory_order_relaxed) > may_fail) return;
      const int now = keeps_ ? attempt(g, places_[size_t(q)]) : again(g, w);
      tried_[size_t(g)] = now;
      right += now;
      failed += size(g) - now;
    });
    const bool stays = failed <= may_fail;  // then no group was left out
    if (stays) {
      correct_ = right;
      parameters_[q] = 0;
      core_.pack(parameters_, core_.packed_);
    } else {
      trial_[size_t(q)] = before;
    }
    for (int64_t g = 0; g < groups_; ++g) {
      if (tried_[size_t(g)] < 0) continue;
      if (stays)
        right_[size_t(g)] = tried_[size_t(g)];
      else if (keeps_)
        put_back(g, places_[size_t(q)]);
      tried_[size_t(g)] = -1;
    }
    return stays;
  }

 private:
  int size(int64_t g) const { return int(std::min<int64_t>(L, images_.count - g * L)); }
  float* maps(int64_t g) { return maps_.data() + plan_.inference_floats * size_t(g); }

  // Hard images first, by margin: a candidate that must fail does so after a few groups.
  void order(const int64_t* labels) {
    const int k = core_.classes();
    std::vector<float> margin(size_t(images_.count));
    core_.team_.run((images_.count + L - 1) / L, [&](int64_t g, int w) {
      Core::Worker& worker = core_.workers_[size_t(w)];
      const int valid = core_.gather(images_, g * L, worker.workspace.data());
      core_.kernels_->forward(plan_, 0, plan_.count, parameters_, core_.packed_.weights(), worker.workspace.data(), false);
      const float* logits = worker.workspace.data() + plan_.stages[plan_.count - 1].out.at;
      for (int l = 0; l < valid; ++l) {
        const int64_t label = labels[g * L + l];
        float other = -1e30f;
        for (int c = 0; c < k; ++c)
          if (c != label) other = std::max(other, logits[c * L + l]);
        margin[size_t(g * L + l)] = logits[label * L + l] - other;
      }
    });
    std::vector<int64_t> by(size_t(images_.count));
    std::iota(by.begin(), by.end(), int64_t(0));
    std::sort(by.begin(), by.end(), [&](int64_t a, int64_t b) {
      return margin[size_t(a)] < margin[size_t(b)] || (margin[size_t(a)] == margin[size_t(b)] && a < b);
    });
    for (const int64_t i : by) {
      labels_.push_back(labels[i]);
      rows_.push_back(images_.rows ? images_.rows[i] : i);
    }
    images_.rows = rows_.data();
  }

  float* fill(int64_t g, int w) {
    float* ws = keeps_ ? maps(g) : core_.workers_[size_t(w)].workspace.data();
    core_.gather(images_, g * L, ws);
    return ws;
  }

  int again(int64_t g, int w) {
    float* ws = fill(g, w);
    core_.kernels_->forward(plan_, 0, plan_.count, trial_.data(), trial_packed_.weights(), ws, false);
    return core_.right(ws, labels_.data() + g * L, size(g));
  }

  int attempt(int64_t g, const Place& place) {
    float* ws = maps(g);
    const Stage& s = plan_.stages[place.stage];
    int& valid = valid_[size_t(g)];
    if (valid <= place.stage) {
      core_.kernels_->forward(plan_, valid, place.stage + 1, parameters_, core_.packed_.weights(), ws, false);
      valid = place.stage + 1;
    }
    const size_t bytes = s.out.plane() * sizeof(float);
    float* plane = ws + s.out.at + size_t(place.channel) * s.out.plane();
    float* undo = undo_.data() + plane_ * size_t(g);
    std::memcpy(undo, plane, bytes);
    core_.kernels_->channel(plan_, place.stage, place.channel, trial_.data(), ws);
    if (!place.tied && valid == plan_.count && std::memcmp(undo, plane, bytes) == 0)
      return right_[size_t(g)];
    core_.kernels_->forward(plan_, place.stage + 1, plan_.count, trial_.data(), trial_packed_.weights(), ws, false);
    valid = plan_.count;
    return core_.right(ws, labels_.data() + g * L, size(g));
  }

  void put_back(int64_t g, const Place& place) {
    const Stage& s = plan_.stages[place.stage];
    float* plane = maps(g) + s.out.at + size_t(place.channel) * s.out.plane();
    std::memcpy(plane, undo_.data() + plane_ * size_t(g), s.out.plane() * sizeof(float));
    valid_[size_t(g)] = place.stage + 1;  // the stages after it are computed again when needed
  }

  Core& core_;
  const Plan& plan_;
  float* parameters_;         // as accepted; core_.packed_ holds them packed
  std::vector<float> trial_;  // with the candidate at zero
  Packed trial_packed_;
  Images images_;
  std::vector<Place> places_;
  std::vector<int64_t> rows_, labels_;  // in the order of the sweep
  int64_t groups_ = 0, correct_ = 0;
  bool keeps_ = true;
  AlignedFloats maps_{0};    // [groups][inference floats]
  std::vector<float> undo_;  // [groups][largest plane]
  size_t plane_ = 0;
  std::vector<int> right_, tried_, valid_;  // per group: right now; right as tried; stages up to date
};

void Core::zero_one_by_one(float* parameters, const int64_t* candidates, int64_t n, const Images& images,
                           const int64_t* labels, int64_t threshold, int64_t every, const Progress& progress,
                           size_t most_bytes, bool* mask) {
  std::lock_guard<std::mutex> hold(busy_);
  Sweep sweep(*this, parameters, images, labels, most_bytes);
  int64_t zeroed = 0;
  for (int64_t k = 0; k < n; ++k) {
    const bool stays = sweep.zero(candidates[k], threshold);
    if (stays) ++zeroed, mask[candidates[k]] = false;
    if (progress && (stays || (k + 1) % every == 0 || k + 1 == n)) progress(k + 1, zeroed, sweep.correct());
  }
}

void Core::zero_alone(const float* parameters, const int64_t* candidates, int64_t n, const Images& images,
                      const int64_t* labels, int64_t* correct, double* loss) {
  std::lock_guard<std::mutex> hold(busy_);
  pack(parameters, packed_);
  const std::vector<Place> where = places(plan_);
  // Late stages first: what an attempt overwrites after its own stage is not needed any more.
  std::vector<int64_t> by(size_t(n), 0);
  std::iota(by.begin(), by.end(), int64_t(0));
  std::stable_sort(by.begin(), by.end(), [&](int64_t a, int64_t b) {
    return where[size_t(candidates[a])].stage > where[size_t(candidates[b])].stage;
  });
  constexpr int64_t block = 32 * L;  // images per task; fixed, so that losses are added in one order
  const int64_t tasks = (images.count + block - 1) / block;
  std::vector<int64_t> rights(size_t(tasks * n));
  std::vector<double> losses(size_t(tasks * n));
  team_.run(tasks, [&](int64_t task, int w) {
    Worker& worker = workers_[size_t(w)];
    float *ws = worker.workspace.data(), *targets = worker.targets.data();
    std::vector<float> changed(parameters, parameters + plan_.parameters), saved;
    Packed repacked(plan_);
    for (int64_t first = task * block; first < std::min(images.count, (task + 1) * block); first += L) {
      const int valid = gather(images, first, ws);
      for (int l = 0; l < L; ++l)
        for (int c = 0; c < classes(); ++c) targets[c * L + l] = labels[first + (l < valid ? l : 0)] == c;
      kernels_->forward(plan_, 0, plan_.count, parameters, packed_.weights(), ws, false);
      for (const int64_t k : by) {
        const int64_t q = candidates[k];
        const Place& place = where[size_t(q)];
        const Stage& s = plan_.stages[place.stage];
        float* plane = ws + s.out.at + size_t(place.channel) * s.out.plane();
        saved.assign(plane, plane + s.out.plane());
        changed[size_t(q)] = 0;
        if (place.tied) pack(changed.data(), repacked);
        const Weights weights = (place.tied ? repacked : packed_).weights();
        kernels_->channel(plan_, place.stage, place.channel, changed.data(), ws);
        kernels_->forward(plan_, place.stage + 1, plan_.count, changed.data(), weights, ws, false);
        float each[L];
        kernels_->loss(plan_, targets, valid, 1, ws, each);
        rights[size_t(task * n + k)] += right(ws, labels + first, valid);
        for (int l = 0; l < valid; ++l) losses[size_t(task * n + k)] += each[l];
        changed[size_t(q)] = parameters[q];
        std::copy(saved.begin(), saved.end(), plane);
      }
    }
  });
  for (int64_t k = 0; k < n; ++k) {
    correct[k] = 0, loss[k] = 0;
    for (int64_t task = 0; task < tasks; ++task) {
      correct[k] += rights[size_t(task * n + k)];
      loss[k] += losses[size_t(task * n + k)];
    }
    loss[k] /= double(images.count);
  }
}

}  // namespace golf
