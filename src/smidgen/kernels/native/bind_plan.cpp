#include <nanobind/nanobind.h>

void bind_plan(nanobind::module_ &m) { (void)m; }
