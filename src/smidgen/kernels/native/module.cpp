// The one native module. Each part of the package that needs C binds itself in its own file.
#include <nanobind/nanobind.h>

void bind_blocks(nanobind::module_ &m);   // bind_blocks.cpp: instructions of emulated programs
void bind_ceilings(nanobind::module_ &m); // bind_ceilings.cpp: what this processor reaches at best
void bind_entropy(nanobind::module_ &m);  // bind_entropy.cpp: entropy coders
void bind_library(nanobind::module_ &m);  // bind_library.cpp: kernels that are called one by one
void bind_plan(nanobind::module_ &m);     // bind_plan.cpp: whole-network plans

NB_MODULE(_native, m) {
    bind_blocks(m);
    bind_entropy(m);
    bind_library(m);
    bind_plan(m);
    bind_ceilings(m);
}
