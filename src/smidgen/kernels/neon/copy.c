#include "copy.h"
