#include "plan.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace {

constexpr int MOST_POINTERS = 8;
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
    Call call{&table[which], std::vector<int32_t>(table[which].args), {}, {}};
    for (auto &arg : call.args)
        arg = reader.next();
    for (int i = 0; i < table[which].pointers; i++)
        call.pointers.push_back(read_pointer(reader));
    call.output = read_pointer(reader);
    return call;
}

} // namespace

Plan::Plan(const int32_t *code, size_t code_size, const uint8_t *constants, size_t constant_bytes)
    : constant_size_(constant_bytes) {
    Reader reader(code, code_size);
    if (reader.next() != PLAN_VERSION)
        refuse("the program is of another version");
    arena_size_ = static_cast<size_t>(reader.count());
    const int32_t inputs = reader.count(), outputs = reader.count();
    input_bytes_ = reader.counts(inputs);
    output_bytes_ = reader.counts(outputs);
    arena_.reset(new Block[arena_size_ / sizeof(Block) + 1]); // not cleared: pages come when used
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
        }
    }
    if (!reader.done())
        refuse("the program has unread code at its end");
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

void Plan::run(const Call &call, const std::vector<uint8_t *> &bases, int32_t turn) {
    void *pointers[MOST_POINTERS];
    for (size_t i = 0; i < call.pointers.size(); i++) {
        const Pointer &p = call.pointers[i];
        pointers[i] = p.base == NONE ? nullptr : bases[p.base] + p.offset + ptrdiff_t{turn} * p.step;
    }
    call.kernel->call(call.args.data(), pointers);
}

void Plan::run(const std::vector<const uint8_t *> &inputs, const std::vector<uint8_t *> &outputs,
               size_t samples, const Watch &watch) {
    const std::lock_guard<std::mutex> turn(running_);
    std::vector<uint8_t *> bases = {reinterpret_cast<uint8_t *>(arena_.get()),
                                    reinterpret_cast<uint8_t *>(constants_.data())};
    for (auto *input : inputs)
        bases.push_back(const_cast<uint8_t *>(input)); // check() forbids writing there
    bases.insert(bases.end(), outputs.begin(), outputs.end());
    for (size_t sample = 0; sample < samples; sample++) {
        for (const CallBlock &block : blocks_)
            for (int32_t turn = 0; turn < block.turns; turn++)
                for (const Call &call : block.calls) {
                    run(call, bases, turn);
                    if (watch && turn == block.turns - 1)
                        watch(bases[call.output.base] + call.output.offset, call.output.nbytes);
                }
        for (size_t i = 0; i < inputs.size(); i++)
            bases[PORTS + i] += input_bytes_[i];
        for (size_t i = 0; i < outputs.size(); i++)
            bases[PORTS + inputs.size() + i] += output_bytes_[i];
    }
}
