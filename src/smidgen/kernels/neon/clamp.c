#include "clamp.h"
