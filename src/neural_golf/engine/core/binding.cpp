// The Python face of Core: pointers out of arrays, the GIL released, errors as GolfError.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core.hpp"
#include "form.hpp"

namespace py = pybind11;
using golf::Core, golf::Images, golf::Targets;

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;
using Index = std::optional<Array<int64_t>>;
using Mask = std::optional<Array<bool>>;

Images images(const py::array& array, const Index& index) {
  Images out{};
  out.data = array.data();
  out.bytes = array.itemsize() == 1;
  out.count = index ? index->size() : array.shape(0);
  out.pixels = 1;
  for (py::ssize_t d = 1; d < array.ndim(); ++d) out.pixels *= array.shape(d);
  out.rows = index ? index->data() : nullptr;
  return out;
}

Targets targets(const py::array& array, double smoothing) {
  Targets out{};
  if (array.dtype().kind() == 'i')
    out.labels = static_cast<const int64_t*>(array.data());
  else
    out.soft = static_cast<const float*>(array.data());
  out.smoothing = float(smoothing);
  return out;
}

golf::Sides sides(const py::handle& pair) {
  const auto [y, x] = pair.cast<std::pair<int, int>>();
  return {y, x};
}

golf::Layer layer(const py::tuple& t) {
  golf::Layer l{};
  l.kind = t[0].cast<std::string>();
  l.kernel = sides(t[1]), l.pad = sides(t[2]), l.stride = sides(t[3]), l.dilation = sides(t[4]);
  l.groups = t[5].cast<int>();
  l.value = t[6].cast<float>();
  l.weight = t[7].cast<int>(), l.bias = t[8].cast<int>();
  const auto in = t[9].cast<py::tuple>(), out = t[10].cast<py::tuple>();
  for (int d = 0; d < 3; ++d) l.in[d] = in[d].cast<int>(), l.out[d] = out[d].cast<int>();
  l.adds = t[11].cast<int>();
  return l;
}

}  // namespace

PYBIND11_MODULE(_core, module) {
  module.doc() = "The compiled core of neural_golf.engine; use it through neural_golf.engine.engine.";

  py::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const golf::Error& error) {
      PyErr_SetString(py::module_::import("neural_golf.base.errors").attr("GolfError").ptr(), error.what());
    }
  });

  module.def("instruction_sets", [] {
    std::vector<std::string> names;
    for (const golf::Kernels* k : {golf::kernels_avx512(), golf::kernels_avx2(), golf::kernels_plain()})
      if (k) names.push_back(k->name);
    return names;
  });

  module.def("peak", [](int64_t rounds, const std::string& instructions) {
    const golf::Kernels* kernels = golf::choose_kernels(instructions.c_str());
    if (!kernels) throw golf::Error("engine: no instruction set '" + instructions + "' here");
    float sink = 0;
    py::gil_scoped_release free;
    return kernels->peak(rounds, &sink);
  });

  module.def("warp", [](const Array<uint8_t>& data, const Array<int64_t>& index, const Array<float>& affine,
                        const std::optional<Array<float>>& grid, Array<uint8_t>& out, int threads,
                        const std::string& instructions) {
    const golf::Kernels* kernels = golf::choose_kernels(instructions.c_str());
    if (!kernels) throw golf::Error("engine: no instruction set '" + instructions + "' here");
    const int height = int(data.shape(2)), width = int(data.shape(3));
    const int64_t pixels = int64_t(height) * width, channels = data.shape(1), image = pixels * channels;
    const int knots = grid ? int(grid->shape(3)) : 0;
    uint8_t* to = out.mutable_data();
    py::gil_scoped_release free;
    golf::Team team(threads);
    std::vector<std::vector<uint8_t>> padded(size_t(threads), std::vector<uint8_t>(size_t((height + 3) * (width + 3))));
    constexpr int64_t block = 256;
    const int64_t n = index.size();
    team.run((n + block - 1) / block, [&](int64_t task, int worker) {
      for (int64_t i = task * block; i < std::min(n, (task + 1) * block); ++i)
        for (int64_t c = 0; c < channels; ++c)
          kernels->warp(data.data() + index.data()[i] * image + c * pixels, height, width, affine.data() + i * 6,
                        grid ? grid->data() + i * 2 * knots * knots : nullptr, knots, padded[size_t(worker)].data(),
                        to + i * image + c * pixels);
    });
  });

  module.def("bring_into_form", [](const py::array& data, const Index& index, const std::array<double, 5>& form,
                                   float scale, float shift, Array<float>& out, int threads,
                                   const std::string& instructions) {
    const golf::Kernels* kernels = golf::choose_kernels(instructions.c_str());
    if (!kernels) throw golf::Error("engine: no instruction set '" + instructions + "' here");
    const Images in = images(data, index);
    const int channels = int(data.shape(1)), height = int(data.shape(2)), width = int(data.shape(3));
    const golf::Form wanted{form[0], form[1], form[2], form[3], form[4]};
    float* to = out.mutable_data();
    py::gil_scoped_release free;
    golf::bring_into_form(*kernels, wanted, in, channels, height, width, scale, shift, threads, to);
  });

  module.attr("interface") = 5;  // compiled.py tells what for

  py::class_<Core>(module, "Core")
      .def(py::init([](const std::vector<py::tuple>& layers, int parameters, const std::optional<Array<int>>& source,
                       int stored, double mean, double std, int threads,
                       const std::string& instructions) {
        std::vector<golf::Layer> list;
        for (const py::tuple& t : layers) list.push_back(layer(t));
        std::vector<int> places;
        if (source) places.assign(source->data(), source->data() + source->size());
        return std::make_unique<Core>(list, parameters, std::move(places), stored, mean, std, threads, instructions);
      }))
      .def_property_readonly("instructions", &Core::instructions)
      .def_readwrite("sparse_below", &Core::sparse_below)
      .def("logits",
           [](Core& core, const Array<float>& p, const py::array& data, const Index& index, Array<float>& out) {
             const Images in = images(data, index);
             float* to = out.mutable_data();
             py::gil_scoped_release free;
             core.logits(p.data(), in, to);
           })
      .def("correct",
           [](Core& core, const Array<float>& p, const py::array& data, const Array<int64_t>& labels) {
             const Images in = images(data, std::nullopt);
             py::gil_scoped_release free;
             return core.correct(p.data(), in, labels.data());
           })
      .def("loss_gradient",
           [](Core& core, const Array<float>& p, const py::array& data, const py::array& t, const Index& index,
              double smoothing, const Mask& mask, Array<float>& out) {
             const Images in = images(data, index);
             const Targets to = targets(t, smoothing);
             float* gradient = out.mutable_data();
             py::gil_scoped_release free;
             return core.loss_gradient(p.data(), in, to, mask ? mask->data() : nullptr, gradient);
           })
      .def("micro_gradients",
           [](Core& core, const Array<float>& p, const py::array& data, const py::array& t, const Index& index,
              int64_t micro_batch, const Mask& mask, Array<float>& out) {
             const Images in = images(data, index);
             const Targets to = targets(t, 0);
             float* gradients = out.mutable_data();
             py::gil_scoped_release free;
             core.micro_gradients(p.data(), in, to, micro_batch, mask ? mask->data() : nullptr, gradients);
           })
      .def("zero_one_by_one",
           [](Core& core, Array<float>& p, const Array<int64_t>& candidates, const py::array& data,
              const Array<int64_t>& labels, int64_t threshold, const py::object& progress, int64_t every,
              size_t most_bytes, Array<bool>& mask) {
             const Images in = images(data, std::nullopt);
             float* parameters = p.mutable_data();
             bool* kept = mask.mutable_data();
             Core::Progress report = [&](int64_t done, int64_t zeroed, int64_t correct) {
               py::gil_scoped_acquire hold;
               if (PyErr_CheckSignals() != 0) throw py::error_already_set();
               if (!progress.is_none()) progress(done, zeroed, correct);
             };
             py::gil_scoped_release free;
             core.zero_one_by_one(parameters, candidates.data(), candidates.size(), in, labels.data(), threshold,
                                  every, report, most_bytes, kept);
           })
      .def("zero_alone",
           [](Core& core, const Array<float>& p, const Array<int64_t>& candidates, const py::array& data,
              const Array<int64_t>& labels, Array<int64_t>& correct, Array<double>& loss) {
             const Images in = images(data, std::nullopt);
             int64_t* count = correct.mutable_data();
             double* mean = loss.mutable_data();
             py::gil_scoped_release free;
             core.zero_alone(p.data(), candidates.data(), candidates.size(), in, labels.data(), count, mean);
           })
      .def("adam_epoch", [](Core& core, Array<float>& p, Array<float>& m, Array<float>& v, int64_t step,
                            const py::array& data, const py::array& t, const Index& order, int64_t batch,
                            const Array<double>& rates, double beta1, double beta2, double eps,
                            const Mask& mask, double smoothing) {
        const Images in = images(data, order);
        const Targets to = targets(t, smoothing);
        float *pp = p.mutable_data(), *mm = m.mutable_data(), *vv = v.mutable_data();
        const Core::Adam adam{step, batch, rates.data(), beta1, beta2, eps, mask ? mask->data() : nullptr};
        py::gil_scoped_release free;
        return core.adam_epoch(pp, mm, vv, adam, in, to);
      });
}
