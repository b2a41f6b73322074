#include "convolution.h"
