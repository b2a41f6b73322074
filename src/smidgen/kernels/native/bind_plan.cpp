#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <stdexcept>
#include <string>

#include "plan.hpp"

namespace nb = nanobind;

namespace {

using Code = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Inputs = std::vector<nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>>;
using Outputs = std::vector<nb::ndarray<nb::c_contig, nb::device::cpu>>;

template <class Byte, class Arrays>
std::vector<Byte *> addresses(const Arrays &arrays, const std::vector<int32_t> &nbytes, size_t samples) {
    if (arrays.size() != nbytes.size())
        throw std::invalid_argument("the number of arrays does not fit the plan");
    std::vector<Byte *> found;
    for (size_t i = 0; i < arrays.size(); i++) {
        if (arrays[i].nbytes() != samples * static_cast<size_t>(nbytes[i]))
            throw std::invalid_argument("an array's size does not fit the plan");
        found.push_back(static_cast<Byte *>(arrays[i].data()));
    }
    return found;
}

void run(Plan &plan, const Inputs &inputs, const Outputs &outputs, size_t samples) {
    const auto from = addresses<const uint8_t>(inputs, plan.input_bytes(), samples);
    const auto to = addresses<uint8_t>(outputs, plan.output_bytes(), samples);
    const nb::gil_scoped_release released;
    plan.run(from, to, samples);
}

// The bytes that each call wrote for one sample, in the order of the calls.
nb::list trace(Plan &plan, const Inputs &inputs, const Outputs &outputs) {
    std::vector<std::string> written;
    plan.run(addresses<const uint8_t>(inputs, plan.input_bytes(), 1),
             addresses<uint8_t>(outputs, plan.output_bytes(), 1), 1,
             [&](const uint8_t *output, size_t nbytes) { written.emplace_back(output, output + nbytes); });
    nb::list result;
    for (const auto &bytes : written)
        result.append(nb::bytes(bytes.data(), bytes.size()));
    return result;
}

// Seconds that each call took for one sample, in the order of the calls.
std::vector<double> times(Plan &plan, const Inputs &inputs, const Outputs &outputs) {
    using Clock = std::chrono::steady_clock;
    const auto from = addresses<const uint8_t>(inputs, plan.input_bytes(), 1);
    const auto to = addresses<uint8_t>(outputs, plan.output_bytes(), 1);
    std::vector<double> seconds;
    auto last = Clock::now();
    plan.run(from, to, 1, [&](const uint8_t *, size_t) {
        const auto now = Clock::now();
        seconds.push_back(std::chrono::duration<double>(now - last).count());
        last = now;
    });
    return seconds;
}

std::vector<std::string> kernel_names() {
    int count;
    const Kernel *table = kernels(&count);
    std::vector<std::string> names;
    for (int i = 0; i < count; i++)
        names.emplace_back(table[i].name);
    return names;
}

} // namespace

void bind_plan(nb::module_ &m) {
    m.attr("PLAN_VERSION") = PLAN_VERSION;
    m.def("supported_isas", &supported_isas, "Instruction sets of this processor, the slowest first.");
    m.def("kernel_names", &kernel_names, "Names of the kernels; a plan's code refers to them by index.");
    nb::class_<Plan>(m, "Plan")
        .def("__init__",
             [](Plan *self, const Code &code, const Bytes &constants, const std::string &isa) {
                 new (self) Plan(code.data(), code.size(), constants.data(), constants.size(), isa);
             })
        .def("isas", &Plan::isas)
        .def("run", &run)
        .def("trace", &trace)
        .def("times", &times);
}
