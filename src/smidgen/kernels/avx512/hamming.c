#include "hamming.h"
