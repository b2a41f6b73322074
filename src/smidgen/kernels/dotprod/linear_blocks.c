#include "linear_blocks.h"
