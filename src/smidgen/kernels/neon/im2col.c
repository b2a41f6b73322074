#include "im2col.h"
