#include "Unit.h"
namespace palisade
{
void unit_analyse(Unit &) {}
} // namespace palisade
