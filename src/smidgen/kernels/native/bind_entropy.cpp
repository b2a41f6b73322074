#include <nanobind/nanobind.h>

void bind_entropy(nanobind::module_ &m) { (void)m; }
