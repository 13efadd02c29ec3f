#include "../names.hpp"
