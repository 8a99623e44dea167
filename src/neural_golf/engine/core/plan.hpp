// A network as the kernels see it: stages, and where everything lies in memory.
//
// L images lie side by side: every map is [channel][row][column][L images], so that one vector
// instruction does the same thing to L images whatever the number of channels (docs/engine.md).
#pragma once

#include <cstddef>
#include <cstdint>

namespace golf {

constexpr int L = 16;            // images per group: one AVX-512 register, two AVX2, four NEON
constexpr int HALF = L / 2;      // of them, in groups that are not full
constexpr int MOST_OUTPUTS = 6;  // output channels that a kernel computes at once
constexpr size_t GRADIENT_BYTES = 24 << 10;  // of gz that dense weights want at once: a first-level cache has room for them
constexpr int GROUPS_PER_CHUNK = 2;  // groups whose gradients share their accumulators

struct Sides {  // down and across: rows and columns
  int y, x;

  bool operator==(Sides other) const { return y == other.y && x == other.x; }
  int area() const { return y * x; }
};

// A map inside the workspace. `left` and `right` are columns of zeros for the convolution that
// reads the map; rows need none, they are clipped.
struct Map {
  int channels = 0, height = 0, width = 0, left = 0, right = 0;
  size_t at = 0;  // its first float, a multiple of L

  size_t row() const { return size_t(left + width + right) * L; }
  size_t plane() const { return row() * height; }
  size_t floats() const { return plane() * channels; }
  size_t pixel(int c, int y) const { return at + c * plane() + y * row() + size_t(left) * L; }
};

// Up to three layers in one pass over memory: convolution, then activation, then max pooling of windows
// that lie side by side; each may be missing. A linear layer is a 1x1 convolution of a map [inputs][1][1].
// All activations are one: z > 0 ? z : slope * z. Normalisation, sums and all other pooling are stages of their own.
struct Stage {
  enum Kind { convolution, identity, maximum, average, normalisation, sum } kind = identity;
  Sides kernel{1, 1}, dilation{1, 1};        // convolution
  int groups = 1;
  Sides stride{1, 1};                        // of the kernel, or of the windows of a stage of its own
  Sides pad{0, 0};                           // rows and columns around the input, of zeros; in maximum, of nothing
  Sides window{1, 1};                        // pooling window
  int other = -1;                            // of a sum: the stage whose out is added to in
  bool activation = false;
  float leak = 0;                            // slope where it is no parameter
  int weight = -1, bias = -1, slope = -1;    // offsets in the parameter vector; -1: none
  int rows = 0, cols = 0;                    // of the convolution's output that pooling reads
  bool needs_input_gradient = false;
  int together = 1, at_once = 1;  // channels of out, and its rows, whose gradient goes back together where it is dense
  Map in, out;
  // Only for training:
  Map z;    // value before the activation, of the pixel that the pooling took; or 1 / deviation [channels][1][1]
  Map winner;  // which pixel of its window that was, row by row, the first of equals; integers (forward.inc)
  Map gz;   // gradient of z before pooling; of `together` channels and `at_once` rows of windows if no input gradient is needed
  Sides apart{1, 1};  // in gz, whose pixels are as far apart as the kernel's places if an input gradient is needed
  Map g_out, g_in;  // gradients of out and in
  size_t packed = 0, packed_back = 0;  // where its weights, or its taps, begin (Weights, TapLists)
  int live = 0, live_back = 0;         // where its channels begin in TapLists::live
  int channel = 0;                     // where those of out begin in Plan::unread

  int inputs() const { return in.channels / groups; }    // per group
  int outputs() const { return out.channels / groups; }  // per group
  int taps() const { return inputs() * kernel.area(); }  // of an output channel
  bool pools() const { return window.area() > 1; }
  bool strided() const { return !(stride == Sides{1, 1}); }
  Sides reach() const {  // from the first pixel under the kernel to the last
    return {(kernel.y - 1) * dilation.y, (kernel.x - 1) * dilation.x};
  }
};

struct Plan {
  const Stage* stages;
  int count;
  int parameters;
  int classes;
  size_t floats;            // workspace
  size_t inference_floats;  // its front part, all that forward without training touches
  size_t packed_floats;  // packed weights
  size_t lists;          // of taps
  size_t scratch;        // rows of a convolution before pooling (in the workspace)
  float scale, shift;    // a byte b is read as scale * b + shift
  size_t ink;            // in the workspace, two ints: the rows of the images that are not all 0
  int channels;          // of all stages' outs
  char* unread;          // [channels]: whether nothing reads a channel, which then is neither computed nor learns

  bool drops(const Stage& s, int c) const { return unread[s.channel + c]; }
};

// A weight that is not zero, or whose gradient is wanted.
struct Tap {
  int in, ky;    // floats from the window's corner to the pixel it reads; its row
  int at;        // in the parameter vector
  float weight;
};

// Taps of every output channel in the order of the kernels' sums. They begin where the channel's
// weights would, and `live` says how many there are; -1 where a stage has so many that it is dense. The weights
// of a strided stage are always listed.
struct TapLists {
  Tap* taps;  // [packed_floats]
  int* live;  // [lists]
};

struct Weights {
  float* dense;  // [packed_floats], of dense stages, in the order the kernels read them
  TapLists sparse;   // of the others
};

struct Sources {  // L images
  const void* image[L];
  bool bytes;  // uint8, else float
};

// What is compiled once per instruction set (kernels.inc).
struct Kernels {
  const char* name;
  const Kernels* half;  // the same that read and write only the first HALF of the L images
  // Weights of dense stages in reading order.
  void (*pack)(const Plan&, const float* parameters, const Weights&);
  // L images into the input map. False where a float image is not finite.
  bool (*gather)(const Plan&, const Sources&, float* workspace);
  // Stages [from, to); `training` keeps what backward needs.
  void (*forward)(const Plan&, int from, int to, const float* parameters, const Weights&, float* workspace,
                  bool training);
  // One output channel of a convolution or identity stage, from weights [taps] in their own order.
  void (*channel)(const Plan&, int stage, int channel, const float* parameters, float* workspace);
  // The first largest logit of each image: best[L].
  void (*argmax)(const Plan&, const float* workspace, int32_t* best);
  // Softmax cross-entropy: loss[L], and the gradient of scale * loss into the last g_out.
  // targets and logits are [classes][L]; images from `valid` on get a gradient of 0.
  void (*loss)(const Plan&, const float* targets, int valid, float scale, float* workspace, float* loss);
  // Adds the gradient, one number per lane, to sums[parameters][L]; of weights, that of `wanted`.
  void (*backward)(const Plan&, const float* parameters, const Weights&, const TapLists& wanted, float* workspace,
                   float* sums);
  // folded[slot[i]] += sums[place[i]], [L] each, for n of them.
  void (*fold)(const float* sums, const int* place, const int* slot, int n, float* folded);
  // Lane sums: out[parameters].
  void (*reduce)(const float* sums, int parameters, float* out);
  // One update; rest is 1 - beta, rate is lr / (1 - beta1^t), root_correction sqrt(1 - beta2^t).
  void (*adam)(int n, const bool* mask, const float* gradient, float* p, float* m, float* v, float rest1,
               float beta2, float rest2, float rate, float root_correction, float eps);
  // One image [height][width] warped (warp.inc); padded is scratch of (height + 3) * (width + 3) bytes.
  void (*warp)(const uint8_t* image, int height, int width, const float* affine, const float* grid, int knots,
               uint8_t* padded, uint8_t* out);
  // Of one image in its canonical form (form.inc): sums of its ink by columns, and its pixels.
  void (*moments)(const float* ink, int height, int pitch, float* columns);
  void (*resample)(const float* padded, int height, int width, const float* affine, float scale, float shift,
                   float* out);
  int64_t (*peak)(int64_t rounds, float* sink);  // for the benchmark
};

const Kernels* choose_kernels(const char* name);  // the widest where the name is empty; null if not here

const Kernels* kernels_avx512();  // null where not compiled in or not supported by this machine
const Kernels* kernels_avx2();
const Kernels* kernels_plain();

}  // namespace golf
