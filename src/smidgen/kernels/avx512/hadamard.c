#include "hadamard.h"
