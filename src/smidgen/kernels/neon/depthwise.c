#include "depthwise.h"
