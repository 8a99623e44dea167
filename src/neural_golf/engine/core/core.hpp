// One network, compiled: owns the plan, the workspaces and the threads. Input is checked in Python
// (interface.py), except for NaN and Inf in float images, which only a look at every pixel can find.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "plan.hpp"
#include "team.hpp"

namespace golf {

struct Error : std::runtime_error {  // becomes neural_golf.base.errors.GolfError
  using std::runtime_error::runtime_error;
};

struct Layer {
  std::string kind;
  Sides kernel, pad, stride, dilation;
  int groups;
  float value;
  int weight, bias;  // offsets in the parameter vector; -1: none
  int in[3], out[3];
  int adds;  // the layer whose output a sum adds to its input
};

struct Images {
  const void* data;
  bool bytes;           // uint8, else float
  int64_t pixels;       // per image
  const int64_t* rows;  // null: image i is row i
  int64_t count;

  Images part(int64_t first, int64_t n) const;
};

struct Targets {  // row i belongs to image i: the index is applied already
  const int64_t* labels;  // null: soft
  const float* soft;      // [n][classes]
  float smoothing;
};

struct AlignedFloats {  // zeroed, on a cache line
  explicit AlignedFloats(size_t n);
  AlignedFloats(AlignedFloats&&) = default;  // never copied: data_ points into store_
  AlignedFloats& operator=(AlignedFloats&&) = default;
  float* data() const { return data_; }

 private:
  std::vector<float> store_;
  float* data_;
};

class Packed {  // weights as the kernels read them, or which gradients are wanted
 public:
  explicit Packed(const Plan& plan)
      : dense_(plan.packed_floats),
        taps_(plan.packed_floats),
        live_(plan.lists),
        weights_{dense_.data(), {taps_.data(), live_.data()}} {}
  const Weights& weights() const { return weights_; }

 private:
  AlignedFloats dense_;
  std::vector<Tap> taps_;
  std::vector<int> live_;
  Weights weights_;
};

// With `source`, kernels share parameters: parameters and gradients come and go as they are stored,
// [stored], and source [parameters] says which of them stands where.
class Core {
 public:
  Core(const std::vector<Layer>&, int parameters, std::vector<int> source, int stored, double mean, double std,
       int threads, const std::string& instructions);

  const char* instructions() const { return kernels_->name; }

  void logits(const float* parameters, const Images&, float* out);
  int64_t correct(const float* parameters, const Images&, const int64_t* labels);
  // Gradients of parameters outside `mask` (null: none is) are 0.
  double loss_gradient(const float* parameters, const Images&, const Targets&, const bool* mask, float* gradient);
  void micro_gradients(const float* parameters, const Images&, const Targets&, int64_t micro_batch,
                       const bool* mask, float* out);

  // A stage is sparse where less than this share of its weights is not 0, or of its gradients wanted.
  // Measured; no bit depends on it.
  double sparse_below = 0.8;

  struct Adam {
    int64_t step, batch;
    const double* rates;
    double beta1, beta2, eps;
    const bool* mask;
  };
  double adam_epoch(float* parameters, float* m, float* v, const Adam&, const Images&, const Targets&);

  // Zeroing (search.cpp). `progress` is called as interface.py says, in the calling thread.
  using Progress = std::function<void(int64_t done, int64_t zeroed, int64_t correct)>;
  void zero_one_by_one(float* parameters, const int64_t* candidates, int64_t n, const Images&, const int64_t* labels,
                       int64_t threshold, int64_t every, const Progress&, size_t most_bytes, bool* mask);
  void zero_alone(const float* parameters, const int64_t* candidates, int64_t n, const Images&,
                  const int64_t* labels, int64_t* correct, double* loss);

 private:
  friend class Sweep;

  struct Worker {  // what one thread writes to
    explicit Worker(const Core&);
    AlignedFloats workspace, sums, folded, targets;
  };

  void build(const std::vector<Layer>&);
  void place(Map&, int channels, int height, int width, int left, int right);
  void pack(const float* parameters, Packed&);  // all of them, whatever reads what
  // Packed and as the kernels number them, unrolled; `training`: for gradients that are wanted.
  const float* take(const float* parameters, bool training);
  void drop(const float* parameters, bool training);  // from packed_: channels that nothing reads
  void want(const bool* mask);                 // which gradients the next ones are
  void clear(Worker&) const;                   // worker.sums, as far as anything is added to them
  const float* fold(Worker&) const;            // worker.sums of what is wanted: [slots][L]
  int classes() const { return plan_.classes; }

  // One group: images [first, first + L) of those that exist. Returns how many those are.
  int gather(const Images&, int64_t first, float* workspace) const;
  // Gathers, runs forward and backward; adds to worker.sums; returns the sum of losses.
  double group_gradient(const float* parameters, const Images&, const Targets&, int64_t first, int64_t end,
                        float scale, Worker&) const;
  // How many of `valid` images get their label, by the logits in a workspace.
  int right(const float* workspace, const int64_t* labels, int valid) const;
  double batch_gradient(const float* parameters, const Images&, const Targets&, float* gradient);
  void spread(const float* sums, float* gradient) const;  // from slots to parameters

  const Kernels* kernels_;
  std::vector<Stage> stages_;
  Plan plan_{};
  std::vector<int> source_;  // empty: nothing is shared
  int stored_;
  std::vector<float> unrolled_;
  std::vector<char> unread_;  // Plan::unread
  Packed packed_{plan_}, wanted_{plan_};
  std::vector<int> slots_;         // parameters whose gradient is wanted
  std::vector<int> place_, slot_;  // where in the plan they stand, in order; which of the slots stands there
  std::vector<std::pair<int, int>> dirty_;  // from … to: which of a worker's sums any gradient is added to
  std::vector<char> asked_;        // the mask of the last `want`, and its sparse_below
  double asked_below_ = 0;
  std::vector<Worker> workers_;
  std::vector<float> partial_;  // gradients of chunks
  std::vector<double> losses_;
  Team team_;
  std::mutex busy_;
};

}  // namespace golf
