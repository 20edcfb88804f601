// The compiled program is embedded as a file; what is imported is its path.
declare module "*.bin" {
  const path: string;
  export default path;
}
