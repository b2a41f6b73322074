#include "packs.h"
