#include "float_depthwise.h"
