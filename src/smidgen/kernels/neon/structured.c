#include "structured.h"
