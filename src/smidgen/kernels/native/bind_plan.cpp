#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>

#include "plan.hpp"

namespace nb = nanobind;

namespace {

using Code = nb::ndarray<const int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// The memory of C-contiguous arrays, held while this lives. (Views through DLPack cost several times as
// much.)
class Memory {
  public:
    // Throws std::invalid_argument unless array i has `samples` times `nbytes[i]` bytes, and whatever Python
    // says about one whose memory can't be had.
    Memory(nb::handle arrays, const std::vector<int32_t> &nbytes, size_t samples, int access)
        : views_(nbytes.size()) {
        const nb::object items = nb::steal(PySequence_Fast(arrays.ptr(), "arrays are needed"));
        if (!items.is_valid())
            nb::raise_python_error();
        if (static_cast<size_t>(PySequence_Fast_GET_SIZE(items.ptr())) != nbytes.size())
            throw std::invalid_argument("the number of arrays does not fit the plan");
        for (; held_ < nbytes.size(); held_++) {
            PyObject *array = PySequence_Fast_GET_ITEM(items.ptr(), static_cast<Py_ssize_t>(held_));
            if (PyObject_GetBuffer(array, &views_[held_], access) != 0) {
                release();
                nb::raise_python_error();
            }
            if (static_cast<size_t>(views_[held_].len) != samples * static_cast<size_t>(nbytes[held_])) {
                held_++;
                release();
                throw std::invalid_argument("an array's size does not fit the plan");
            }
        }
    }
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;
    ~Memory() { release(); }

    template <class Byte> std::vector<Byte *> addresses() const {
        std::vector<Byte *> found;
        for (const Py_buffer &view : views_)
            found.push_back(static_cast<Byte *>(view.buf));
        return found;
    }

  private:
    void release() {
        for (size_t i = 0; i < held_; i++)
            PyBuffer_Release(&views_[i]);
        held_ = 0;
    }

    std::vector<Py_buffer> views_;
    size_t held_ = 0;
};

void run(Plan &plan, nb::handle inputs, nb::handle outputs, size_t samples, size_t threads) {
    const Memory from(inputs, plan.input_bytes(), samples, PyBUF_SIMPLE);
    const Memory to(outputs, plan.output_bytes(), samples, PyBUF_WRITABLE);
    const nb::gil_scoped_release released;
    plan.run(from.addresses<const uint8_t>(), to.addresses<uint8_t>(), samples, threads);
}

nb::list trace(Plan &plan, nb::handle inputs, nb::handle outputs) {
    const Memory from(inputs, plan.input_bytes(), 1, PyBUF_SIMPLE);
    const Memory to(outputs, plan.output_bytes(), 1, PyBUF_WRITABLE);
    const auto written = plan.trace(from.addresses<const uint8_t>(), to.addresses<uint8_t>());
    nb::list result;
    for (const auto &bytes : written)
        result.append(nb::bytes(bytes.data(), bytes.size()));
    return result;
}

std::vector<double> times(Plan &plan, nb::handle inputs, nb::handle outputs) {
    const Memory from(inputs, plan.input_bytes(), 1, PyBUF_SIMPLE);
    const Memory to(outputs, plan.output_bytes(), 1, PyBUF_WRITABLE);
    const nb::gil_scoped_release released;
    return plan.times(from.addresses<const uint8_t>(), to.addresses<uint8_t>());
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
             [](Plan *self, const Code &code, const Bytes &constants, const std::string &isa,
                const std::vector<std::string> &choices) {
                 new (self) Plan(code.data(), code.size(), constants.data(), constants.size(), isa, choices);
             })
        .def("candidates", &Plan::candidates)
        .def("chosen", &Plan::chosen)
        .def("packed", &Plan::packed)
        .def("run", &run)
        .def("trace", &trace)
        .def("times", &times);
}
