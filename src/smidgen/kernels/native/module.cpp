// The one native module. Each part of the package that needs C binds itself in its own file.
#include <nanobind/nanobind.h>

void bind_entropy(nanobind::module_ &m);  // bind_entropy.cpp: entropy coders
void bind_plan(nanobind::module_ &m);     // bind_plan.cpp: whole-network plans
void bind_ceilings(nanobind::module_ &m); // bind_ceilings.cpp: what this processor reaches at best

NB_MODULE(_native, m) {
    bind_entropy(m);
    bind_plan(m);
    bind_ceilings(m);
}
