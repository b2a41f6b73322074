#include "plan.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>

#include "pool.hpp"

namespace {

// Samples go through a layer side by side, so that its weights are read once for all of them; more memory
// than this for their values would cost more than it saves.
constexpr size_t MOST_SAMPLES = 32, MOST_SAMPLE_BYTES = size_t{1} << 20;
enum Base : int32_t { NONE = -1, ARENA = 0, CONSTANTS = 1, PORTS = 2 };

[[noreturn]] void refuse(const std::string &why) {
    throw std::invalid_argument(why);
}

// Reads the code front to back; running out of it is an error.
class Reader {
  public:
    Reader(const int32_t *code, size_t size) : at_(code), end_(code + size) {}

    int32_t next() {
        if (at_ == end_)
            refuse("the program is truncated");
        return *at_++;
    }

    int32_t count() {
        const int32_t n = next();
        if (n < 0)
            refuse("the program holds a negative size");
        return n;
    }

    std::vector<int32_t> counts(int32_t n) {
        if (n > end_ - at_)
            refuse("the program is truncated");
        std::vector<int32_t> values(n);
        for (auto &value : values)
            value = count();
        return values;
    }

    bool done() const { return at_ == end_; }

  private:
    const int32_t *at_, *end_;
};

Pointer read_pointer(Reader &reader) {
    const int32_t base = reader.next(), offset = reader.count();
    const int32_t nbytes = reader.count();
    return {base, offset, nbytes, reader.next()};
}

Call read_call(Reader &reader) {
    int known;
    const Kernel *table = kernels(&known);
    const int32_t which = reader.next();
    if (which < 0 || which >= known)
        refuse("the program calls unknown kernel " + std::to_string(which));
    Call call;
    call.kernel = &table[which];
    call.args.resize(table[which].args);
    for (auto &arg : call.args)
        arg = reader.next();
    for (int i = 0; i < table[which].pointers; i++)
        call.pointers.push_back(read_pointer(reader));
    call.output = read_pointer(reader);
    return call;
}

// A loop that moves through memory ends with it; one that stands still could run for years.
bool moves(const CallBlock &block) {
    for (const Call &call : block.calls)
        for (const Pointer &p : call.pointers)
            if (p.base != NONE && p.step != 0)
                return true;
    return false;
}

} // namespace

Plan::Plan(const int32_t *code, size_t code_size, const uint8_t *constants, size_t constant_bytes,
           const std::string &isa, const std::vector<std::string> &choices)
    : constant_size_(constant_bytes) {
    Reader reader(code, code_size);
    if (reader.next() != PLAN_VERSION)
        refuse("the program is of another version");
    arena_size_ = static_cast<size_t>(reader.count());
    const int32_t inputs = reader.count(), outputs = reader.count();
    input_bytes_ = reader.counts(inputs);
    output_bytes_ = reader.counts(outputs);
    constants_.resize(constant_bytes / sizeof(Block) + 1);
    if (constant_bytes > 0)
        std::memcpy(constants_.data(), constants, constant_bytes);
    const int32_t blocks = reader.count();
    size_t number = 0;
    for (int32_t i = 0; i < blocks; i++) {
        blocks_.push_back({reader.count(), {}});
        const int32_t calls = reader.count();
        for (int32_t j = 0; j < calls; j++) {
            blocks_.back().calls.push_back(read_call(reader));
            check(number + 1, blocks_.back().calls.back(), blocks_.back().turns);
            choose(blocks_.back().calls.back(), isa, number < choices.size() ? choices[number] : "");
            number++;
        }
    }
    for (const CallBlock &block : blocks_)
        if (block.turns > 1 && !moves(block))
            refuse("a loop of " + std::to_string(block.turns) + " turns moves no pointer");
    if (!reader.done())
        refuse("the program has unread code at its end");
    strides_ = {static_cast<ptrdiff_t>((arena_size_ / sizeof(Block) + 1) * sizeof(Block)), 0};
    strides_.insert(strides_.end(), input_bytes_.begin(), input_bytes_.end());
    strides_.insert(strides_.end(), output_bytes_.begin(), output_bytes_.end());
    workspaces_.resize(1);
    reserve(workspaces_[0], 1);
}

int64_t Plan::base_bytes(int32_t base) const {
    const auto inputs = static_cast<int32_t>(input_bytes_.size()),
               outputs = static_cast<int32_t>(output_bytes_.size());
    if (base == ARENA)
        return static_cast<int64_t>(arena_size_);
    if (base == CONSTANTS)
        return static_cast<int64_t>(constant_size_);
    if (base < PORTS || base - PORTS >= inputs + outputs)
        refuse("a pointer has an unknown base");
    return base - PORTS < inputs ? input_bytes_[base - PORTS] : output_bytes_[base - PORTS - inputs];
}

void Plan::check_range(const Pointer &pointer, int32_t turns, const std::string &where) const {
    const int64_t last = pointer.offset + int64_t{pointer.step} * (turns > 0 ? turns - 1 : 0);
    const int64_t low = std::min<int64_t>(pointer.offset, last);
    const int64_t high = std::max<int64_t>(pointer.offset, last);
    if (low < 0 || high + pointer.nbytes > base_bytes(pointer.base))
        refuse(where + "a pointer leaves its memory");
}

// What the pointer is a multiple of in every turn and sample: 1, 2 or 4. Memory starts at multiples of 4, and
// that of callers does for the values of their ports, which Python sees to.
int32_t Plan::alignment_of(const Pointer &p) const {
    int64_t bits = p.offset | p.step;
    if (p.base >= PORTS)
        bits |= base_bytes(p.base);
    return bits & 1 ? 1 : bits & 2 ? 2 : 4;
}

void Plan::check(size_t number, const Call &call, int32_t turns) const {
    const std::string where = "call " + std::to_string(number) + " (" + call.kernel->name + "): ";
    Span spans[MOST_POINTERS];
    if (call.pointers.size() > MOST_POINTERS)
        refuse(where + "too many pointers");
    for (size_t i = 0; i < call.pointers.size(); i++) {
        const Pointer &p = call.pointers[i];
        spans[i] = {p.base != NONE, nullptr, p.nbytes, 1};
        if (p.base == NONE)
            continue;
        check_range(p, turns, where);
        spans[i].alignment = alignment_of(p);
        if (spans[i].alignment < call.kernel->alignments[i])
            refuse(where + "a pointer is not aligned");
        if (p.base != CONSTANTS)
            continue;
        if (p.offset % 4 != 0 || p.step != 0)
            refuse(where + "a constant is not aligned or moves");
        spans[i].constant = reinterpret_cast<const uint8_t *>(constants_.data()) + p.offset;
    }
    check_range(call.output, 1, where);
    const int32_t target = call.pointers.back().base;
    if (target != ARENA && target < PORTS + static_cast<int32_t>(input_bytes_.size()))
        refuse(where + "its output is not writable");
    if (!call.kernel->fits(call.args.data(), spans))
        refuse(where + "its arguments do not fit its memory");
}

// Where the constants of a checked call lie that a variant packs; null for what is none.
void Plan::constants_of(const Call &call, void **pointers) const {
    auto *start = const_cast<Block *>(constants_.data()); // variants read them only
    for (size_t i = 1; i + 1 < call.pointers.size(); i++)
        if (call.pointers[i].base == CONSTANTS)
            pointers[i] = reinterpret_cast<uint8_t *>(start) + call.pointers[i].offset;
}

// What the candidate packs for a checked call; SMG_REFUSED where it can't run it: a variant that packs needs
// constants, and memory for them.
size_t Plan::packed_bytes(const Candidate &candidate, const Call &call) const {
    const smg_variant *variant = candidate.variant;
    if (variant == nullptr)
        return 0;
    const int32_t *args = call.args.data();
    if (variant->scratch_bytes && variant->scratch_bytes(args) > SMG_MOST_BYTES)
        return SMG_REFUSED;
    if (variant->packed_bytes == nullptr)
        return 0;
    for (size_t i = 1; i + 1 < call.pointers.size(); i++)
        if (call.pointers[i].base != CONSTANTS)
            return SMG_REFUSED;
    void *pointers[MOST_POINTERS] = {};
    constants_of(call, pointers);
    return variant->packed_bytes(args, pointers);
}

// Takes the named candidate if it can run the call, else the most usual one that can; the portable one can.
void Plan::choose(Call &call, const std::string &isa, const std::string &choice) {
    std::vector<Candidate> all = find_candidates(isa, call.kernel->name);
    std::reverse(all.begin(), all.end());
    std::stable_partition(all.begin(), all.end(), [&](const Candidate &c) { return c.name == choice; });
    call.chosen = *std::find_if(all.begin(), all.end(), [&](const Candidate &candidate) {
        return packed_bytes(candidate, call) <= SMG_MOST_BYTES;
    });
    if (call.chosen.variant != nullptr)
        pack(call);
}

// Has the chosen variant pack its constants, and makes room for its scratch memory.
void Plan::pack(Call &call) {
    const smg_variant *variant = call.chosen.variant;
    const int32_t *args = call.args.data();
    if (variant->pack != nullptr) {
        void *pointers[MOST_POINTERS] = {};
        constants_of(call, pointers);
        call.packed.resize(variant->packed_bytes(args, pointers) / sizeof(Block) + 1);
        variant->pack(args, pointers, call.packed.data());
    }
    if (variant->scratch_bytes != nullptr)
        scratch_size_ = std::max(scratch_size_, variant->scratch_bytes(args));
}

std::vector<std::vector<std::pair<std::string, size_t>>> Plan::candidates(const std::string &isa) const {
    std::vector<std::vector<std::pair<std::string, size_t>>> found;
    for (const CallBlock &block : blocks_)
        for (const Call &call : block.calls) {
            found.emplace_back();
            for (const Candidate &candidate : find_candidates(isa, call.kernel->name)) {
                const size_t bytes = packed_bytes(candidate, call);
                if (bytes <= SMG_MOST_BYTES)
                    found.back().emplace_back(candidate.name, bytes);
            }
        }
    return found;
}

std::vector<std::string> Plan::chosen() const {
    std::vector<std::string> names;
    for (const CallBlock &block : blocks_)
        for (const Call &call : block.calls)
            names.push_back(call.chosen.name);
    return names;
}

std::vector<size_t> Plan::packed() const {
    std::vector<size_t> bytes;
    for (const CallBlock &block : blocks_)
        for (const Call &call : block.calls)
            bytes.push_back(packed_bytes(call.chosen, call));
    return bytes;
}

// Memory for as many samples side by side as pay, at most `samples`.
void Plan::reserve(Workspace &space, size_t samples) const {
    size_t each = arena_size_ + 1;
    for (int32_t nbytes : input_bytes_)
        each += static_cast<size_t>(nbytes);
    for (int32_t nbytes : output_bytes_)
        each += static_cast<size_t>(nbytes);
    samples = std::min({samples, MOST_SAMPLES, std::max<size_t>(1, MOST_SAMPLE_BYTES / each)});
    if (space.scratch == nullptr)
        space.scratch.reset(new Block[scratch_size_ / sizeof(Block) + 1]);
    if (samples <= space.samples)
        return;
    const auto blocks = static_cast<size_t>(strides_[ARENA]) / sizeof(Block);
    space.arena.reset(new Block[blocks * samples]); // not cleared: pages come when used
    space.samples = samples;
}

// Makes `space` ready for `samples` samples from number `first` on.
void Plan::prepare(Workspace &space, const Inputs &inputs, const Outputs &outputs, size_t first,
                   size_t samples) {
    reserve(space, samples);
    space.bases = {reinterpret_cast<uint8_t *>(space.arena.get()),
                   reinterpret_cast<uint8_t *>(constants_.data())};
    for (auto *input : inputs)
        space.bases.push_back(const_cast<uint8_t *>(input)); // check() forbids writing there
    space.bases.insert(space.bases.end(), outputs.begin(), outputs.end());
    for (size_t i = PORTS; i < space.bases.size(); i++)
        space.bases[i] += static_cast<ptrdiff_t>(first) * strides_[i];
}

void Plan::run(const Call &call, Workspace &space, int32_t turn, int32_t samples) const {
    void *pointers[MOST_POINTERS];
    ptrdiff_t strides[MOST_POINTERS];
    const size_t count = call.pointers.size();
    for (size_t i = 0; i < count; i++) {
        const Pointer &p = call.pointers[i];
        const bool none = p.base == NONE;
        pointers[i] = none ? nullptr : space.bases[p.base] + p.offset + ptrdiff_t{turn} * p.step;
        strides[i] = none ? 0 : strides_[p.base];
    }
    if (call.chosen.variant != nullptr) {
        const smg_job job = {pointers, strides, samples, call.packed.data(), space.scratch.get()};
        call.chosen.variant->run(call.args.data(), &job);
        return;
    }
    for (int32_t sample = 0; sample < samples; sample++) {
        call.kernel->call(call.args.data(), pointers);
        for (size_t i = 0; i < count; i++)
            pointers[i] = static_cast<uint8_t *>(pointers[i]) + strides[i];
    }
}

// `watch(number of the call, call, whether this was its last turn)` after each call.
template <class Watch> void Plan::run_together(Workspace &space, int32_t samples, const Watch &watch) const {
    size_t first = 0;
    for (const CallBlock &block : blocks_) {
        for (int32_t turn = 0; turn < block.turns; turn++)
            for (size_t i = 0; i < block.calls.size(); i++) {
                run(block.calls[i], space, turn, samples);
                watch(first + i, block.calls[i], turn == block.turns - 1);
            }
        first += block.calls.size();
    }
    for (size_t i = PORTS; i < space.bases.size(); i++)
        space.bases[i] += samples * strides_[i];
}

// Groups of samples side by side, as even as they can be.
template <class Watch> void Plan::run_share(Workspace &space, size_t samples, const Watch &watch) const {
    for (size_t groups = (samples + space.samples - 1) / space.samples; groups > 0; groups--) {
        const size_t now = (samples + groups - 1) / groups;
        run_together(space, static_cast<int32_t>(now), watch);
        samples -= now;
    }
}

void Plan::run(const Inputs &inputs, const Outputs &outputs, size_t samples, size_t threads) {
    const auto unwatched = [](size_t, const Call &, bool) {}; // compiles to nothing
    const std::lock_guard<std::mutex> turn(running_);
    const size_t shares = std::max<size_t>(1, std::min(threads, samples));
    const auto start = [&](size_t share) { return samples * share / shares; };
    if (workspaces_.size() < shares)
        workspaces_.resize(shares);
    for (size_t i = 0; i < shares; i++) // here, where there may be an exception
        prepare(workspaces_[i], inputs, outputs, start(i), start(i + 1) - start(i));
    const auto task = [&](size_t i) { run_share(workspaces_[i], start(i + 1) - start(i), unwatched); };
    if (shares == 1)
        task(0);
    else
        Pool::instance().run(shares, task);
}

template <class Watch> void Plan::run_one(const Inputs &inputs, const Outputs &outputs, const Watch &watch) {
    const std::lock_guard<std::mutex> turn(running_);
    prepare(workspaces_[0], inputs, outputs, 0, 1);
    run_share(workspaces_[0], 1, watch);
}

std::vector<std::string> Plan::trace(const Inputs &inputs, const Outputs &outputs) {
    std::vector<std::string> written;
    run_one(inputs, outputs, [&](size_t, const Call &call, bool last) {
        const uint8_t *at = workspaces_[0].bases[call.output.base] + call.output.offset;
        if (last)
            written.emplace_back(at, at + call.output.nbytes);
    });
    return written;
}

std::vector<double> Plan::times(const Inputs &inputs, const Outputs &outputs) {
    using Clock = std::chrono::steady_clock;
    std::vector<double> seconds(chosen().size());
    auto last = Clock::now();
    run_one(inputs, outputs, [&](size_t number, const Call &, bool) {
        const auto now = Clock::now();
        seconds[number] += std::chrono::duration<double>(now - last).count();
        last = now;
    });
    return seconds;
}
