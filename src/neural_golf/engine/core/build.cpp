// From layers to stages: what is done in one pass, and where every map lies.

#include <algorithm>

#include "core.hpp"

namespace golf {

namespace {

void flat(Map& map) {  // the same floats as [inputs][1][1]
  map.channels *= map.height * map.width;
  map.height = map.width = 1;
}

}  // namespace

void Core::place(Map& map, int channels, int height, int width, int left, int right) {
  map.channels = channels, map.height = height, map.width = width, map.left = left, map.right = right;
  map.at = plan_.floats;
  plan_.floats += map.floats();
}

void Core::build(const std::vector<Layer>& layers) {
  const auto side_by_side = [](const Layer& l) {
    return l.kind == "maxpool" && l.stride == l.kernel && l.pad == Sides{0, 0};
  };
  const auto activation = [](const Layer& l) { return l.kind == "relu" || l.kind == "leaky" || l.kind == "prelu"; };
  std::vector<const Layer*> last;  // of every stage
  std::vector<bool> flatten;       // its input becomes [inputs][1][1]
  std::vector<const Layer*> first;
  std::vector<bool> read(layers.size());  // whose output a sum needs, so that a stage must end with it
  std::vector<int> stage(layers.size());  // that ends with a layer
  for (const Layer& l : layers)
    if (l.adds >= 0) read[size_t(l.adds)] = true;
  for (size_t i = 0; i < layers.size();) {
    Stage s;
    const Layer& l = layers[i];
    const auto goes_on = [&] { return i < layers.size() && (&l == &layers[i] || !read[i - 1]); };
    first.push_back(&l);
    flatten.push_back(l.kind == "linear");
    if (l.kind == "maxpool" || l.kind == "avgpool" || l.kind == "gap") {
      s.kind = l.kind == "maxpool" ? Stage::maximum : Stage::average;
      s.window = l.kind == "gap" ? Sides{l.in[1], l.in[2]} : l.kernel;
      s.stride = l.stride, s.pad = l.pad;
      ++i;
    } else if (l.kind == "norm") {
      s.kind = Stage::normalisation;
      ++i;
    } else if (l.kind == "add") {
      s.kind = Stage::sum;
      s.other = stage[size_t(l.adds)];
      ++i;
    } else {
      if (l.kind == "conv" || l.kind == "linear") {
        s.kind = Stage::convolution;
        s.weight = l.weight, s.bias = l.bias;
        if (l.kind == "conv") {
          s.kernel = l.kernel, s.pad = l.pad, s.stride = l.stride, s.dilation = l.dilation, s.groups = l.groups;
        }
        ++i;
      } else if (!activation(l)) {
        throw Error("engine: the compiled core does not know the layer '" + l.kind + "'");
      }
      if (goes_on() && activation(layers[i])) {
        s.activation = true;
        s.leak = layers[i].kind == "leaky" ? layers[i].value : 0;
        s.slope = layers[i].weight;
        ++i;
      }
      if (goes_on() && side_by_side(layers[i])) s.window = layers[i++].kernel;
    }
    stage[i - 1] = int(stages_.size());
    last.push_back(&layers[i - 1]);
    stages_.push_back(s);
  }

  // Columns of zeros for the convolution that reads a map; a linear layer reads none.
  const auto zeros = [&](size_t i) {
    return i < stages_.size() && stages_[i].kind == Stage::convolution ? stages_[i].pad.x : 0;
  };
  // First what inference needs, so that a search can keep that much for every group of images.
  int outputs = 1, widest = 1, window = 1;
  for (size_t i = 0; i < stages_.size(); ++i) {
    Stage& s = stages_[i];
    const Layer &from = *first[i], &to = *last[i];
    const int height = to.out[1], width = to.out[2];
    if (i == 0) {
      place(s.in, from.in[0], from.in[1], from.in[2], zeros(0), zeros(0));
      plan_.ink = plan_.floats;
      plan_.floats += L;
    } else {
      s.in = stages_[i - 1].out;
    }
    if (flatten[i]) flat(s.in);
    place(s.out, to.out[0], height, width, zeros(i + 1), zeros(i + 1));
    s.rows = height * s.window.y, s.cols = width * s.window.x;
    s.channel = plan_.channels;
    plan_.channels += to.out[0];
    if (s.kind != Stage::convolution) continue;
    const size_t weights = size_t(to.out[0]) * s.taps();
    s.packed = plan_.packed_floats;
    s.packed_back = s.packed + weights;
    plan_.packed_floats += 2 * weights;
    s.live = int(plan_.lists), s.live_back = s.live + s.out.channels;
    plan_.lists += size_t(s.out.channels + s.in.channels);
    outputs = std::max(outputs, std::min(to.out[0], MOST_OUTPUTS));
    widest = std::max(widest, s.cols), window = std::max(window, s.window.y);
  }
  plan_.scratch = plan_.floats;
  plan_.floats += size_t(outputs) * widest * window * L;
  plan_.inference_floats = plan_.floats;

  bool learns = false;
  for (size_t i = 0; i < stages_.size(); ++i) {
    Stage& s = stages_[i];
    const int channels = s.out.channels, height = s.out.height, width = s.out.width;
    if (i > 0) s.g_in = stages_[i - 1].g_out;
    if (flatten[i]) flat(s.g_in);
    place(s.g_out, channels, height, width, 0, 0);
    s.needs_input_gradient = learns;
    learns = learns || s.weight >= 0 || s.slope >= 0;
    if (s.kind == Stage::normalisation) place(s.z, channels, 1, 1, 0, 0);
    if (s.kind == Stage::maximum) place(s.winner, channels, height, width, 0, 0);
    if (s.kind != Stage::convolution && s.kind != Stage::identity) continue;
    if (s.activation) place(s.z, channels, height, width, 0, 0);
    if (s.pools()) place(s.winner, channels, height, width, 0, 0);
    s.together = std::min(s.outputs(), MOST_OUTPUTS);
    const size_t row_bytes = sizeof(float) * L * size_t(s.together * s.window.y * s.cols);
    s.at_once = std::clamp(int(GRADIENT_BYTES / row_bytes), 1, height);
    if (!s.needs_input_gradient) {
      place(s.gz, s.together, s.at_once * s.window.y, s.cols, 0, 0);
    } else if (s.kind == Stage::identity) {
      s.gz = s.g_in;
    } else {  // read by a convolution with the kernel turned round, over all columns of the input
      const int left = s.reach().x - s.pad.x, cols = (s.cols - 1) * s.stride.x + 1;
      s.apart = s.stride;
      place(s.gz, channels, (s.rows - 1) * s.stride.y + 1, cols, left, s.in.width + s.reach().x - cols - left);
    }
  }
  unread_.assign(size_t(plan_.channels), 0);
  plan_.unread = unread_.data();
  plan_.stages = stages_.data();
  plan_.count = int(stages_.size());
  plan_.classes = stages_.back().out.channels;
}

}  // namespace golf
