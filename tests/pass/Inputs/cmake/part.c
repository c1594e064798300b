static int sum;
int part(int x) { return sum += x; }
