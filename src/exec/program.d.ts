// The compiled program is embedded as a file; the import is its path.
declare module "*.bin" {
  const path: string;
  export default path;
}
