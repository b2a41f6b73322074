// A whole network as one list of checked kernel calls. The code is what smidgen.run.native serializes:
//   version, arena bytes, inputs, outputs, bytes of each input, bytes of each output, blocks, then for each
//   block its turns, its calls, and for each call kernel, args.., and (base, offset, nbytes, step) of each
//   pointer and of the output it contributes to. A pointer moves on by `step` bytes after each turn.
// Bases: -1 null, 0 arena, 1 constants, 2.. inputs, then outputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "kernel_table.hpp"
#include "variants.hpp"

constexpr int32_t PLAN_VERSION = 2;

struct alignas(64) Block {
    uint8_t bytes[64];
};

struct Pointer {
    int32_t base, offset, nbytes, step;
};

struct Call {
    const Kernel *kernel;
    Candidate chosen{"ref", nullptr}; // its variant runs instead of `kernel`, unless null
    std::vector<Block> packed;        // what the variant made of its constants
    std::vector<int32_t> args;
    std::vector<Pointer> pointers;
    Pointer output; // the node's whole output: a concatenation takes several calls
};

struct CallBlock {
    int32_t turns;
    std::vector<Call> calls;
};

using Inputs = std::vector<const uint8_t *>;
using Outputs = std::vector<uint8_t *>;

// What one thread computes its samples in.
struct Workspace {
    std::unique_ptr<Block[]> arena, scratch;
    size_t samples = 0;           // that the arena has room for
    std::vector<uint8_t *> bases; // during a run: where each base starts for the first sample
};

class Plan {
  public:
    // Runs kernels of `isa`, or for call i the candidate named `choices[i]` where that is one.
    // Throws std::invalid_argument for a program that is truncated or would leave its memory, or for an
    // instruction set that is not there.
    Plan(const int32_t *code, size_t code_size, const uint8_t *constants, size_t constant_bytes,
         const std::string &isa, const std::vector<std::string> &choices);

    // Runs `samples` samples, which lie one after the other in `inputs` and `outputs`, shared out among
    // `threads` threads. Outputs do not depend on how many there are.
    void run(const Inputs &inputs, const Outputs &outputs, size_t samples, size_t threads);

    // Runs one sample. The output of the node after each call; in a block of several turns after the last.
    std::vector<std::string> trace(const Inputs &inputs, const Outputs &outputs);

    // Runs one sample. Seconds that each call took, in all its turns.
    std::vector<double> times(const Inputs &inputs, const Outputs &outputs);

    // For each call what could run it, the usual one last, with the bytes of constants that it packs, and
    // what does run it.
    std::vector<std::vector<std::pair<std::string, size_t>>> candidates(const std::string &isa) const;
    std::vector<std::string> chosen() const;
    // For each call the bytes of constants that the chosen candidate packed.
    std::vector<size_t> packed() const;

    const std::vector<int32_t> &input_bytes() const { return input_bytes_; }
    const std::vector<int32_t> &output_bytes() const { return output_bytes_; }

  private:
    void check(size_t number, const Call &call, int32_t turns) const;
    void constants_of(const Call &call, void **pointers) const;
    size_t packed_bytes(const Candidate &candidate, const Call &call) const;
    void choose(Call &call, const std::string &isa, const std::string &choice);
    void pack(Call &call);
    void run(const Call &call, Workspace &space, int32_t turn, int32_t samples) const;
    template <class Watch> void run_together(Workspace &space, int32_t samples, const Watch &watch) const;
    template <class Watch> void run_share(Workspace &space, size_t samples, const Watch &watch) const;
    template <class Watch> void run_one(const Inputs &inputs, const Outputs &outputs, const Watch &watch);
    void prepare(Workspace &space, const Inputs &inputs, const Outputs &outputs, size_t first,
                 size_t samples);
    void reserve(Workspace &space, size_t samples) const;
    int64_t base_bytes(int32_t base) const;
    int32_t alignment_of(const Pointer &pointer) const;
    void check_range(const Pointer &pointer, int32_t turns, const std::string &where) const;

    std::vector<int32_t> input_bytes_, output_bytes_;
    std::vector<Block> constants_;
    size_t arena_size_, constant_size_, scratch_size_ = 0;
    std::vector<CallBlock> blocks_;
    std::vector<ptrdiff_t> strides_;    // of each base, from one sample to the next
    std::vector<Workspace> workspaces_; // one a thread, kept for the next run
    std::mutex running_;                // concurrent runs take turns
};
