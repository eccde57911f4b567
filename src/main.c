/* lanthornd: the parent process. */
int main(void)
{
	return 0;
}
