// The counter of an emulated program's instructions, handed to an emulator as two addresses.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "block_counter.h"

namespace nb = nanobind;

namespace {

class BlockCounter {
  public:
    BlockCounter(nb::bytes code, uint64_t base, int encoding, std::pair<uint64_t, uint64_t> run,
                 const std::vector<uint64_t> &kernels, uint64_t most_calls)
        : code_(code.c_str(), code.size()), starts_(code_.size() / 2 + 1), executed_(starts_.size()),
          calls_(most_calls), first_(most_calls) {
        if (encoding < SMG_THUMB || encoding > SMG_FIXED)
            throw nb::value_error("unknown encoding of instructions");
        for (uint64_t address : kernels) {
            if (address < base || address - base >= code_.size())
                throw nb::value_error("a kernel lies outside the code");
            starts_[(address - base) / 2] = 1;
        }
        state_ = {reinterpret_cast<const uint8_t *>(code_.data()),
                  starts_.data(),
                  base,
                  code_.size(),
                  run.first,
                  run.second,
                  encoding,
                  executed_.data(),
                  calls_.data(),
                  first_.data(),
                  most_calls,
                  0,
                  0,
                  0,
                  0,
                  0};
    }
    BlockCounter(const BlockCounter &) = delete;
    BlockCounter &operator=(const BlockCounter &) = delete;

    void clear() {
        std::fill(executed_.begin(), executed_.end(), 0);
        std::fill(calls_.begin(), calls_.end(), 0);
        state_.made = state_.total = state_.outside = state_.pending = 0;
        state_.from_run = state_.in_call = 0;
    }
    uint64_t callback() const { return reinterpret_cast<uint64_t>(&smg_enter_block); }
    uint64_t data() { return reinterpret_cast<uint64_t>(&state_); }
    void enter(uint64_t address, uint32_t nbytes) { smg_enter_block(nullptr, address, nbytes, &state_); }
    uint64_t total() const { return state_.total; }
    uint64_t outside() const { return state_.outside; }
    uint64_t made() const { return state_.made; }

    nb::list calls() const {
        nb::list found;
        for (uint64_t i = 0; i < std::min(state_.made, state_.most_calls); i++)
            found.append(nb::make_tuple(first_[i], calls_[i]));
        return found;
    }
    nb::dict executed() const {
        nb::dict found;
        for (size_t i = 0; i < executed_.size(); i++)
            if (executed_[i] != 0)
                found[nb::cast(state_.base + 2 * i)] = executed_[i];
        return found;
    }

  private:
    std::string code_;
    std::vector<uint8_t> starts_;
    std::vector<uint64_t> executed_, calls_, first_;
    smg_block_counter state_;
};

} // namespace

void bind_blocks(nb::module_ &m) {
    nb::class_<BlockCounter>(m, "BlockCounter")
        .def("__init__",
             [](BlockCounter *self, nb::bytes code, uint64_t base, int encoding, uint64_t run_first,
                uint64_t run_last, const std::vector<uint64_t> &kernels, uint64_t most_calls) {
                 new (self) BlockCounter(code, base, encoding, {run_first, run_last}, kernels, most_calls);
             })
        .def("clear", &BlockCounter::clear)
        .def("callback", &BlockCounter::callback)
        .def("data", &BlockCounter::data)
        .def("enter", &BlockCounter::enter)
        .def("calls", &BlockCounter::calls)
        .def("executed", &BlockCounter::executed)
        .def_prop_ro("total", &BlockCounter::total)
        .def_prop_ro("outside", &BlockCounter::outside)
        .def_prop_ro("made", &BlockCounter::made);
}
