#include "linear_few.h"
