#include "core.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace golf {
namespace {

const char* const NOT_FINITE = "engine: an image has a value that is not a finite number";

}  // namespace

const Kernels* choose_kernels(const char* name) {
  for (const Kernels* k : {kernels_avx512(), kernels_avx2(), kernels_plain()})
    if (k && (!*name || !std::strcmp(name, k->name))) return k;
  return nullptr;
}

AlignedFloats::AlignedFloats(size_t n) : store_(n + 16) {
  data_ = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(store_.data()) + 63) / 64 * 64);
}

Images Images::part(int64_t first, int64_t n) const {
  Images out = *this;
  if (rows)
    out.rows += first;
  else
    out.data = static_cast<const char*>(data) + first * pixels * (bytes ? 1 : 4);
  out.count = n;
  return out;
}

Core::Worker::Worker(const Core& core)
    : workspace(core.plan_.floats),
      sums(size_t(core.plan_.parameters) * L),
      folded(size_t(core.stored_) * L),
      targets(size_t(core.classes()) * L) {}

Core::Core(const std::vector<Layer>& layers, int parameters, std::vector<int> source, int stored, double mean,
           double std, int threads, const std::string& instructions)
    : kernels_(choose_kernels(instructions.c_str())),
      source_(std::move(source)),
      stored_(stored),
      unrolled_(source_.size()),
      team_(threads) {
  if (!kernels_) throw Error("engine: no instruction set '" + instructions + "' here; known: avx512 avx2 plain");
  plan_.parameters = parameters;
  plan_.scale = float(1 / (255 * std));
  plan_.shift = float(-mean / std);
  build(layers);
  packed_ = Packed(plan_), wanted_ = Packed(plan_);
  for (int i = 0; i < threads; ++i) workers_.emplace_back(*this);
}

int Core::gather(const Images& images, int64_t first, float* workspace) const {
  const int valid = int(std::min<int64_t>(L, images.count - first));
  Sources sources;
  sources.bytes = images.bytes;
  for (int l = 0; l < L; ++l) {
    const int64_t i = first + (l < valid ? l : 0);  // idle lanes repeat an image
    const int64_t row = images.rows ? images.rows[i] : i;
    sources.image[l] = static_cast<const char*>(images.data) + row * images.pixels * (images.bytes ? 1 : 4);
  }
  if (!kernels_->gather(plan_, sources, workspace)) throw Error(NOT_FINITE);
  return valid;
}

void Core::logits(const float* parameters, const Images& images, float* out) {
  std::lock_guard<std::mutex> hold(busy_);
  parameters = take(parameters, false);
  team_.run((images.count + L - 1) / L, [&](int64_t group, int w) {
    Worker& worker = workers_[w];
    float* ws = worker.workspace.data();
    const int valid = gather(images, group * L, ws);
    kernels_->forward(plan_, 0, plan_.count, parameters, packed_.weights(), ws, false);
    const float* logits = ws + stages_.back().out.at;
    for (int l = 0; l < valid; ++l)
      for (int c = 0; c < classes(); ++c) out[(group * L + l) * classes() + c] = logits[c * L + l];
  });
}

int Core::right(const float* workspace, const int64_t* labels, int valid) const {
  int32_t best[L];
  kernels_->argmax(plan_, workspace, best);
  int count = 0;
  for (int l = 0; l < valid; ++l) count += best[l] == labels[l];
  return count;
}

int64_t Core::correct(const float* parameters, const Images& images, const int64_t* labels) {
  std::lock_guard<std::mutex> hold(busy_);
  parameters = take(parameters, false);
  std::atomic<int64_t> total{0};
  team_.run((images.count + L - 1) / L, [&](int64_t group, int w) {
    Worker& worker = workers_[w];
    float* ws = worker.workspace.data();
    const int valid = gather(images, group * L, ws);
    kernels_->forward(plan_, 0, plan_.count, parameters, packed_.weights(), ws, false);
    total += right(ws, labels + group * L, valid);
  });
  return total;
}

double Core::group_gradient(const float* parameters, const Images& images, const Targets& targets, int64_t first,
                            int64_t end, float scale, Worker& worker) const {
  Images part = images;
  part.count = end;
  float* ws = worker.workspace.data();
  const int valid = gather(part, first, ws), k = classes();
  float* t = worker.targets.data();  // [classes][L]
  const float rest = targets.smoothing / float(k), share = 1 - targets.smoothing;
  for (int l = 0; l < L; ++l) {
    const int64_t i = first + (l < valid ? l : 0);
    for (int c = 0; c < k; ++c) {
      const float one = targets.labels ? float(targets.labels[i] == c) : targets.soft[i * k + c];
      t[c * L + l] = share * one + rest;
    }
  }
  const Kernels& kernels = valid > HALF ? *kernels_ : *kernels_->half;
  kernels.forward(plan_, 0, plan_.count, parameters, packed_.weights(), ws, true);
  float losses[L];
  kernels.loss(plan_, t, valid, scale, ws, losses);
  kernels.backward(plan_, parameters, packed_.weights(), wanted_.weights().sparse, ws, worker.sums.data());
  double sum = 0;
  for (int l = 0; l < valid; ++l) sum += losses[l];
  return sum;
}

// The batch is cut into the same chunks whatever the number of threads, and their gradients are
// added in order: the bits do not depend on who computed what.
double Core::batch_gradient(const float* parameters, const Images& images, const Targets& targets, float* gradient) {
  constexpr int64_t chunk = GROUPS_PER_CHUNK * L;
  const int64_t chunks = (images.count + chunk - 1) / chunk;
  const size_t n = slots_.size();
  partial_.resize(std::max(partial_.size(), n * size_t(chunks)));
  losses_.resize(std::max(losses_.size(), size_t(chunks)));
  const float scale = float(1.0 / double(images.count));
  team_.run(chunks, [&](int64_t k, int w) {
    Worker& worker = workers_[w];
    clear(worker);
    double loss = 0;
    const int64_t end = std::min(images.count, (k + 1) * chunk);
    for (int64_t first = k * chunk; first < end; first += L)
      loss += group_gradient(parameters, images, targets, first, end, scale, worker);
    kernels_->reduce(fold(worker), int(n), partial_.data() + n * size_t(k));
    losses_[size_t(k)] = loss;
  });
  double loss = 0;
  for (int64_t k = 0; k < chunks; ++k) loss += losses_[size_t(k)];
  for (int64_t k = 1; k < chunks; ++k)
    for (size_t i = 0; i < n; ++i) partial_[i] += partial_[n * size_t(k) + i];
  spread(partial_.data(), gradient);
  if (!std::isfinite(loss))
    throw Error("engine: the loss is no longer a finite number; a lower learning rate may help");
  return loss;
}

void Core::spread(const float* sums, float* gradient) const {
  std::fill_n(gradient, stored_, 0.0f);
  for (size_t i = 0; i < slots_.size(); ++i) gradient[slots_[i]] = sums[i];
}

double Core::loss_gradient(const float* parameters, const Images& images, const Targets& targets, const bool* mask,
                           float* gradient) {
  std::lock_guard<std::mutex> hold(busy_);
  want(mask);
  return batch_gradient(take(parameters, true), images, targets, gradient) / double(images.count);
}

void Core::micro_gradients(const float* parameters, const Images& images, const Targets& targets, int64_t micro_batch,
                           const bool* mask, float* out) {
  std::lock_guard<std::mutex> hold(busy_);
  want(mask);
  parameters = take(parameters, true);
  const size_t n = size_t(stored_);
  const float scale = float(1.0 / double(micro_batch));
  if (L % micro_batch == 0 && micro_batch < L) {  // several in one group: each is some of the lanes
    team_.run((images.count + L - 1) / L, [&](int64_t group, int w) {
      Worker& worker = workers_[w];
      clear(worker);
      const int64_t first = group * L, end = std::min(images.count, first + L);
      group_gradient(parameters, images, targets, first, end, scale, worker);
      const float* sums = fold(worker);
      float* rows = out + size_t(first / micro_batch) * n;
      if (slots_.size() < n) std::fill_n(rows, size_t((end - first) / micro_batch) * n, 0.0f);
      for (size_t i = 0; i < slots_.size(); ++i, sums += L)
        for (int64_t lane = 0, r = 0; lane < end - first; lane += micro_batch, ++r) {
          float sum = 0;
          for (int64_t l = lane; l < lane + micro_batch; ++l) sum += sums[l];
          rows[size_t(r) * n + size_t(slots_[i])] = sum;
        }
    });
    return;
  }
  team_.run(images.count / micro_batch, [&](int64_t k, int w) {
    Worker& worker = workers_[w];
    clear(worker);
    for (int64_t first = k * micro_batch; first < (k + 1) * micro_batch; first += L)
      group_gradient(parameters, images, targets, first, (k + 1) * micro_batch, scale, worker);
    const float* sums = fold(worker);
    kernels_->reduce(sums, int(slots_.size()), worker.folded.data());  // in place, or from sums
    spread(worker.folded.data(), out + size_t(k) * n);
  });
}

double Core::adam_epoch(float* parameters, float* m, float* v, const Adam& adam, const Images& images,
                        const Targets& targets) {
  std::lock_guard<std::mutex> hold(busy_);
  want(adam.mask);
  std::vector<float> gradient(size_t(stored_), 0);
  double total = 0;
  int64_t step = adam.step;
  for (int64_t first = 0; first < images.count; first += adam.batch, ++step) {
    const Images part = images.part(first, std::min(adam.batch, images.count - first));
    Targets rows = targets;
    if (rows.labels)
      rows.labels += first;
    else
      rows.soft += first * classes();
    total += batch_gradient(take(parameters, true), part, rows, gradient.data());
    const double t = double(step + 1);
    kernels_->adam(stored_, adam.mask, gradient.data(), parameters, m, v, float(1 - adam.beta1),
                   float(adam.beta2), float(1 - adam.beta2),
                   float(adam.rates[step - adam.step] / (1 - std::pow(adam.beta1, t))),
                   float(std::sqrt(1 - std::pow(adam.beta2, t))), float(adam.eps));
  }
  return total / double(images.count);
}

}  // namespace golf
