#include "plan.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace {

constexpr int MOST_POINTERS = 10;
// Samples go through a layer side by side, so that its weights are read once for all of them; more memory
// than this for their values would cost more than it saves.
constexpr size_t MOST_SAMPLES = 24, MOST_SAMPLE_BYTES = size_t{1} << 20;
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
    Call call{&table[which], nullptr, {}, std::vector<int32_t>(table[which].args), {}, {}};
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
           const std::string &isa)
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
            check(++number, blocks_.back().calls.back(), blocks_.back().turns);
            vectorize(blocks_.back().calls.back(), isa);
        }
    }
    for (const CallBlock &block : blocks_)
        if (block.turns > 1 && !moves(block))
            refuse("a loop of " + std::to_string(block.turns) + " turns moves no pointer");
    if (!reader.done())
        refuse("the program has unread code at its end");
    scratch_.reset(new Block[scratch_size_ / sizeof(Block) + 1]);
    reserve(1);
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

void Plan::check(size_t number, const Call &call, int32_t turns) const {
    const std::string where = "call " + std::to_string(number) + " (" + call.kernel->name + "): ";
    Span spans[MOST_POINTERS];
    if (call.pointers.size() > MOST_POINTERS)
        refuse(where + "too many pointers");
    for (size_t i = 0; i < call.pointers.size(); i++) {
        const Pointer &p = call.pointers[i];
        spans[i] = {p.base != NONE, nullptr, p.nbytes};
        if (p.base == NONE)
            continue;
        check_range(p, turns, where);
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

// Puts the kernel that `isa` has for a checked call in its place, unless its weights are made at run time or
// it would need too much memory.
void Plan::vectorize(Call &call, const std::string &isa) {
    const smg_variant *variant = find_variant(isa, call.kernel->name);
    if (variant == nullptr)
        return;
    const int32_t *args = call.args.data();
    const size_t scratch = variant->scratch_bytes ? variant->scratch_bytes(args) : 0;
    const size_t packed = variant->packed_bytes ? variant->packed_bytes(args) : 0;
    if (scratch > SMG_MOST_BYTES || packed > SMG_MOST_BYTES)
        return;
    if (variant->pack != nullptr) {
        void *pointers[MOST_POINTERS] = {};
        for (size_t i = 1; i + 1 < call.pointers.size(); i++) {
            if (call.pointers[i].base != CONSTANTS)
                return;
            pointers[i] = reinterpret_cast<uint8_t *>(constants_.data()) + call.pointers[i].offset;
        }
        call.packed.resize(packed / sizeof(Block) + 1);
        variant->pack(args, pointers, call.packed.data());
    }
    call.variant = variant;
    scratch_size_ = std::max(scratch_size_, scratch);
}

std::vector<std::string> Plan::isas() const {
    std::vector<std::string> names;
    for (const CallBlock &block : blocks_)
        for (const Call &call : block.calls)
            names.emplace_back(call.variant ? call.variant->isa : "ref");
    return names;
}

// Memory for as many samples side by side as pay, at most `samples`.
void Plan::reserve(size_t samples) {
    size_t each = arena_size_ + 1;
    for (int32_t nbytes : input_bytes_)
        each += static_cast<size_t>(nbytes);
    for (int32_t nbytes : output_bytes_)
        each += static_cast<size_t>(nbytes);
    samples = std::min({samples, MOST_SAMPLES, std::max<size_t>(1, MOST_SAMPLE_BYTES / each)});
    if (samples <= arenas_)
        return;
    arena_.reset(new Block[(arena_size_ / sizeof(Block) + 1) * samples]); // not cleared: pages come when used
    arenas_ = samples;
}

void Plan::run(const Call &call, int32_t turn, int32_t samples) const {
    void *pointers[MOST_POINTERS];
    ptrdiff_t strides[MOST_POINTERS];
    const size_t count = call.pointers.size();
    for (size_t i = 0; i < count; i++) {
        const Pointer &p = call.pointers[i];
        const bool none = p.base == NONE;
        pointers[i] = none ? nullptr : bases_[p.base] + p.offset + ptrdiff_t{turn} * p.step;
        strides[i] = none ? 0 : strides_[p.base];
    }
    if (call.variant != nullptr) {
        const smg_job job = {pointers, strides, samples, call.packed.data(), scratch_.get()};
        call.variant->run(call.args.data(), &job);
        return;
    }
    for (int32_t sample = 0; sample < samples; sample++) {
        call.kernel->call(call.args.data(), pointers);
        for (size_t i = 0; i < count; i++)
            pointers[i] = static_cast<uint8_t *>(pointers[i]) + strides[i];
    }
}

void Plan::run_together(int32_t samples, const Watch &watch) {
    for (const CallBlock &block : blocks_)
        for (int32_t turn = 0; turn < block.turns; turn++)
            for (const Call &call : block.calls) {
                run(call, turn, samples);
                if (watch && turn == block.turns - 1)
                    watch(bases_[call.output.base] + call.output.offset, call.output.nbytes);
            }
    for (size_t i = PORTS; i < bases_.size(); i++)
        bases_[i] += samples * strides_[i];
}

void Plan::run(const std::vector<const uint8_t *> &inputs, const std::vector<uint8_t *> &outputs,
               size_t samples, const Watch &watch) {
    const std::lock_guard<std::mutex> turn(running_);
    reserve(samples);
    bases_ = {reinterpret_cast<uint8_t *>(arena_.get()), reinterpret_cast<uint8_t *>(constants_.data())};
    strides_ = {static_cast<ptrdiff_t>((arena_size_ / sizeof(Block) + 1) * sizeof(Block)), 0};
    for (auto *input : inputs)
        bases_.push_back(const_cast<uint8_t *>(input)); // check() forbids writing there
    bases_.insert(bases_.end(), outputs.begin(), outputs.end());
    strides_.insert(strides_.end(), input_bytes_.begin(), input_bytes_.end());
    strides_.insert(strides_.end(), output_bytes_.begin(), output_bytes_.end());
    while (samples > 0) {
        const size_t now = std::min(samples, arenas_);
        run_together(static_cast<int32_t>(now), watch);
        samples -= now;
    }
}
