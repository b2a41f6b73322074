#include "lowbit_int.h"
